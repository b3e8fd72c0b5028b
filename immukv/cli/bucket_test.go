package cli

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/immukv/immukv-go/backend/s3store/provision"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
)

// TestBucket makes a bucket with the command, sees it change behind the command's
// back, and has it told.
func TestBucket(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t, s3test.MinIO)
	file := filepath.Join(t.TempDir(), "bucket.yaml")
	describe := func(text string) {
		if err := os.WriteFile(file, []byte("bucketName: calibration\nregion: us-east-1\nprefixes: [{s3Prefix: plant-7/"+text+"}]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	describe("")
	immukv := func(code int, want string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "immukv", args...)
		cmd.Env = append(server.Environ(), "AWS_ENDPOINT_URL="+server.Endpoint(), "IMMUKV_STORE="+server.StoreURL("calibration"), "IMMUKV_PREFIX=plant-7/")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		got := 0
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			got = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if text := string(out) + stderr.String(); got != code || !strings.Contains(text, want) {
			t.Errorf("immukv %s: exit code %d, want %d and %q:\n%s", strings.Join(args, " "), got, code, want, text)
		}
		return string(out)
	}
	immukv(exitFindings, "bucket: have: none", "bucket", "check", file)
	immukv(exitChanges, "change   bucket", "bucket", "plan", file)
	immukv(exitDone, "done    versioning: never enabled -> enabled", "bucket", "apply", file)
	immukv(exitDone, "nothing to change", "bucket", "plan", file)
	immukv(exitDone, "nothing found", "bucket", "check", file)
	if out := immukv(exitDone, "", "bucket", "apply", file); out != "" {
		t.Errorf("a second apply says %q", out)
	}
	immukv(exitDone, "", "set", "sensor", "1")
	if out := immukv(exitDone, "can be trusted", "doctor"); strings.Contains(out, "danger") || strings.Contains(out, "unseen") {
		t.Error(out)
	}

	// A retention is shortened when that is asked for, and not before.
	describe(", logVersionRetentionDays: 30")
	immukv(exitChanges, "apply needs --shorten", "bucket", "plan", file)
	immukv(exitFailed, "--shorten", "bucket", "apply", file)
	immukv(exitFindings, "no rule", "bucket", "check", file)
	immukv(exitDone, "done    lifecycle", "bucket", "apply", "--shorten", file)
	immukv(exitDone, "nothing found", "bucket", "check", file)

	client := server.Client(t)
	_, err := client.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: aws.String("calibration"),
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID: aws.String("cleanup"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
			NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	immukv(exitDone, `other rule "cleanup"`, "doctor")
	var report doctorJSON
	if err := json.Unmarshal([]byte(immukv(exitDone, "", "--json", "doctor")), &report); err != nil || len(report.Dangers) != 1 || report.Dangers[0].Aspect != provision.Lifecycle {
		t.Errorf("%+v, %v", report, err)
	}
	immukv(exitFindings, `other rule "cleanup"`, "bucket", "check", file)
	var plan provision.Plan
	if err := json.Unmarshal([]byte(immukv(exitChanges, "", "--json", "bucket", "plan", file)), &plan); err != nil || len(plan.Changes) != 1 || len(plan.Dangers) != 1 {
		t.Errorf("%+v, %v", plan, err)
	}
}
