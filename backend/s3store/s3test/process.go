package s3test

import (
	"bytes"
	"context"
	"encoding/base64"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// startDeadline bounds the wait for a server to answer. It starts in a second; the rest
// is for a busy machine.
const startDeadline = time.Minute

// portAttempts bounds how often a new free port is chosen because another process took
// the last one.
const portAttempts = 5

// process is one process of a server.
type process struct {
	addr string // host:port
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process has ended
}

// launch starts a process that listens at addr and waits until ready is nil.
func launch(cmd *exec.Cmd, addr string, ready func(context.Context) error) (*process, error) {
	p := &process{addr: addr, cmd: cmd, out: &output{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		// The kernel watches the thread that started the process, so that thread must
		// stay until the process has ended.
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
	if err := p.await(ready); err != nil {
		p.kill()
		return nil, fmt.Errorf("%w\n%s", err, p.out)
	}
	return p, nil
}

func (p *process) await(ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %v", filepath.Base(p.cmd.Path), p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("not ready within %v: %w", startDeadline, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// answers returns nil if a server at addr answers requests of S3 and of STS. The health
// checks of servers are not enough: MinIO's pass before it answers, and it answers S3
// requests before it makes credentials.
func (s *Server) answers(ctx context.Context, addr string) error {
	client := s.client(&http.Transport{DisableKeepAlives: true}, At("http://"+addr), func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	_, err := client.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err == nil && s.sts {
		_, err = s.assume(ctx, "http://"+addr, policy(allow("none", nil)))
	}
	return err
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// startMinIO starts the single process of a MinIO on one drive.
func (s *Server) startMinIO(binary string) error {
	return s.launchOn(0, func(addr string) *exec.Cmd {
		cmd := exec.Command(binary, "server", "--quiet", "--address", addr,
			"--certs-dir", filepath.Join(s.dir, "certs"), filepath.Join(s.dir, "data"))
		cmd.Env = append(s.environ(),
			"MINIO_ROOT_USER="+rootUser, "MINIO_ROOT_PASSWORD="+rootPassword,
			"MINIO_REGION="+Region, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
			// The key for buckets with encryption.
			"MINIO_KMS_SECRET_KEY=test:"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
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
		err := s.launchOn(i, func(addr string) *exec.Cmd {
			cmd := exec.Command(binary, "--access", rootUser, "--secret", rootPassword,
				"--region", Region, "--port", addr, "--quiet", "--keep-alive",
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

// environ returns the environment without settings that would affect a server.
func (s *Server) environ() []string {
	return []string{"HOME=" + s.dir, "TMPDIR=" + os.TempDir(), "PATH=" + os.Getenv("PATH")}
}

// launchOn launches the i-th process of the server, on its previous port or on a free
// one.
func (s *Server) launchOn(i int, command func(addr string) *exec.Cmd) error {
	if i < len(s.ports) {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[i]))
		p, err := s.launch(command(addr), addr)
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
		p, err := s.launch(command(addr), addr)
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

func (s *Server) launch(cmd *exec.Cmd, addr string) (*process, error) {
	return launch(cmd, addr, func(ctx context.Context) error { return s.answers(ctx, addr) })
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// output keeps the output of a process, for the error message if it does not start.
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
