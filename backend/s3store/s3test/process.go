package s3test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// startDeadline bounds the wait for a server to answer. It starts in a second;
// the rest is for a machine with much else to do.
const startDeadline = time.Minute

// portAttempts bounds how often a free port is looked for anew because another
// process took it before the server did.
const portAttempts = 5

// process is one process of a server.
type process struct {
	addr string // host:port
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process has ended
}

// launch starts a process that listens at addr and waits until it answers GET
// health with 200.
func launch(cmd *exec.Cmd, addr, health string) (*process, error) {
	p := &process{addr: addr, cmd: cmd, out: &output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// The parent that the kernel watches for is the thread, so the one
		// that starts the process stays until it has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	if err := p.awaitReady("http://" + addr + health); err != nil {
		p.kill()
		return nil, fmt.Errorf("%w\n%s", err, p.out)
	}
	return p, nil
}

func (p *process) awaitReady(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %v", filepath.Base(p.cmd.Path), p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer from %s within %v: %v", url, startDeadline, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// startMinIO starts the one process that a MinIO on one drive has.
func (s *Server) startMinIO(binary string) error {
	return s.launchOn(0, "/minio/health/ready", func(addr string) *exec.Cmd {
		cmd := exec.Command(binary, "server", "--quiet", "--address", addr,
			"--certs-dir", filepath.Join(s.dir, "certs"), filepath.Join(s.dir, "data"))
		cmd.Env = append(s.environ(),
			"MINIO_ROOT_USER="+rootUser, "MINIO_ROOT_PASSWORD="+rootPassword,
			"MINIO_REGION="+Region, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
		return cmd
	})
}

// startVersityGW starts two gateway processes over the same directories.
func (s *Server) startVersityGW(binary string) error {
	dirs := make(map[string]string)
	for _, name := range []string{"data", "versions", "users"} {
		dirs[name] = filepath.Join(s.dir, name)
		if err := os.MkdirAll(dirs[name], 0o755); err != nil {
			return err
		}
	}
	for i := range 2 {
		err := s.launchOn(i, "/health", func(addr string) *exec.Cmd {
			cmd := exec.Command(binary, "--access", rootUser, "--secret", rootPassword,
				"--region", Region, "--port", addr, "--health", "/health", "--quiet", "--keep-alive",
				"--iam-dir", dirs["users"], "--iam-cache-disable",
				"posix", "--versioning-dir", dirs["versions"], dirs["data"])
			cmd.Env = s.environ()
			return cmd
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// environ keeps the settings of whoever runs the tests away from a server.
func (s *Server) environ() []string {
	return []string{"HOME=" + s.dir, "TMPDIR=" + os.TempDir(), "PATH=" + os.Getenv("PATH")}
}

// launchOn launches the i-th process of the server, on the port that it had
// before or on a free one.
func (s *Server) launchOn(i int, health string, command func(addr string) *exec.Cmd) error {
	if i < len(s.ports) {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[i]))
		p, err := launch(command(addr), addr, health)
		if err == nil {
			s.running = append(s.running, p)
		}
		return err
	}
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		p, err := launch(command(addr), addr, health)
		if err == nil {
			s.ports = append(s.ports, port)
			s.running = append(s.running, p)
			return nil
		}
		if attempt == portAttempts || !strings.Contains(err.Error(), "in use") {
			return err
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// output keeps what a process printed, for the error message if it does not
// start.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxOutput = 64 << 10

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := maxOutput - o.buf.Len(); room > 0 {
		o.buf.Write(b[:min(len(b), room)])
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
