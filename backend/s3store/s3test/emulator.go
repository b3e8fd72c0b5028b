package s3test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
)

// FakeGCS emulates Google Cloud Storage. It is in this package because it is installed
// and started like the S3 servers.
var FakeGCS = &Software{
	Name:    "fake-gcs-server",
	Package: "github.com/fsouza/fake-gcs-server",
	Version: "v1.56.1",
	Binary:  "fake-gcs-server",
}

// AzuriteVersion is the version of Azurite, an npm package, that this project is tested
// with.
const AzuriteVersion = "3.37.0"

// Emulator is a running emulator of another cloud, with an empty bucket.
type Emulator struct {
	Name    string // the name in subtests and tables
	Version string
	URL     string // of the bucket, as the command takes it
	// Environ is the environment, as in [os.Environ], of a program that uses it.
	Environ []string
}

// EachEmulator runs a test on every emulator in parallel. Azurite needs npm, so it is
// only used if IMMUKV_AZURITE is 1.
func EachEmulator(t *testing.T, test func(*testing.T, *Emulator)) {
	t.Helper()
	t.Run("fake-gcs-server", func(t *testing.T) {
		t.Parallel()
		test(t, StartFakeGCS(t))
	})
	t.Run("Azurite", func(t *testing.T) {
		t.Parallel()
		if os.Getenv("IMMUKV_AZURITE") != "1" {
			t.Log("skipped: it needs npm; run make azurite, and set IMMUKV_AZURITE=1")
			return
		}
		test(t, StartAzurite(t))
	})
}

// StartFakeGCS starts an emulator of Google Cloud Storage, in a separate process that
// ends with the test.
func StartFakeGCS(tb testing.TB) *Emulator {
	tb.Helper()
	binary := FakeGCS.find(tb)
	addr := emulate(tb, func(host, port string) *exec.Cmd {
		return exec.Command(binary, "-scheme", "http", "-host", host, "-port", port, "-public-host", net.JoinHostPort(host, port),
			"-backend", "memory", "-log-level", "error")
	})
	body := strings.NewReader(`{"name": "` + emulatedBucket + `"}`)
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "http://"+addr+"/storage/v1/b?project=test", body)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		tb.Fatalf("make a bucket: %s: %s", resp.Status, text)
	}
	return &Emulator{
		Name: FakeGCS.Name, Version: FakeGCS.Version, URL: "gs://" + emulatedBucket,
		Environ: emulatorEnviron("STORAGE_EMULATOR_HOST=" + addr),
	}
}

// The account and the key from Azurite's documentation.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// StartAzurite starts an emulator of Azure Blob Storage, in a separate process that ends
// with the test.
func StartAzurite(tb testing.TB) *Emulator {
	tb.Helper()
	dir, err := Dir()
	if err == nil {
		err = AzuriteInstalled(dir)
	}
	if err != nil {
		tb.Fatalf("%v; install it with: make azurite", err)
	}
	root := tb.TempDir()
	addr := emulate(tb, func(host, port string) *exec.Cmd {
		return exec.Command(filepath.Join(azuriteDir(dir), "node_modules", ".bin", "azurite-blob"),
			"--blobHost", host, "--blobPort", port, "--location", root, "--silent", "--disableTelemetry")
	})
	credential, err := azblob.NewSharedKeyCredential(azuriteAccount, azuriteKey)
	if err != nil {
		tb.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential("http://"+addr+"/"+azuriteAccount, credential, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := client.CreateContainer(tb.Context(), emulatedBucket, nil); err != nil {
		tb.Fatal(err)
	}
	return &Emulator{
		Name: "Azurite", Version: AzuriteVersion,
		URL:     "azblob://" + emulatedBucket + "?protocol=http&localemu=true&domain=" + addr,
		Environ: emulatorEnviron("AZURE_STORAGE_ACCOUNT="+azuriteAccount, "AZURE_STORAGE_KEY="+azuriteKey),
	}
}

// emulatedBucket is the bucket of every emulator.
const emulatedBucket = "immukv-test"

// emulate starts an emulator on a free port.
func emulate(tb testing.TB, command func(host, port string) *exec.Cmd) (addr string) {
	tb.Helper()
	const host = "127.0.0.1"
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			tb.Fatal(err)
		}
		addr = net.JoinHostPort(host, strconv.Itoa(port))
		cmd := command(host, strconv.Itoa(port))
		cmd.Env = []string{"HOME=" + tb.TempDir(), "TMPDIR=" + os.TempDir(), "PATH=" + os.Getenv("PATH")}
		p, err := launch(cmd, addr, func(ctx context.Context) error { return answersHTTP(ctx, addr) })
		if err == nil {
			tb.Cleanup(p.kill)
			return addr
		}
		if attempt == portAttempts {
			tb.Fatal(err)
		}
	}
}

// emulatorEnviron returns an environment without the machine's configuration of the
// clouds.
func emulatorEnviron(vars ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AZURE_") && !strings.HasPrefix(v, "GOOGLE_") && !strings.HasPrefix(v, "STORAGE_EMULATOR_") {
			env = append(env, v)
		}
	}
	return append(env, vars...)
}

func azuriteDir(dir string) string { return filepath.Join(dir, "azurite") }

// AzuriteInstalled returns nil if dir has Azurite at its pinned version.
func AzuriteInstalled(dir string) error {
	text, err := os.ReadFile(filepath.Join(azuriteDir(dir), "node_modules", "azurite", "package.json"))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("Azurite is not installed in %s", dir) //nolint:staticcheck // Azurite is a name
	}
	if err != nil {
		return err
	}
	var p struct{ Version string }
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if p.Version != AzuriteVersion {
		return fmt.Errorf("Azurite in %s is %s, not %s", dir, p.Version, AzuriteVersion) //nolint:staticcheck // Azurite is a name
	}
	return nil
}

// InstallAzurite installs Azurite below dir, with npm.
func InstallAzurite(dir string) error {
	if AzuriteInstalled(dir) == nil {
		return nil
	}
	if err := os.MkdirAll(azuriteDir(dir), 0o755); err != nil {
		return err
	}
	cmd := exec.Command("npm", "install", "--prefix", azuriteDir(dir), "--no-audit", "--no-fund", "--ignore-scripts", "azurite@"+AzuriteVersion)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	return AzuriteInstalled(dir)
}
