package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/s3store"
	"github.com/immukv/immukv-go/backend/s3store/provision"
	"github.com/immukv/immukv-go/backend/s3store/s3test"
	"github.com/immukv/immukv-go/conformance"
	"github.com/immukv/immukv-go/immukv"
)

// assume makes credentials of a role on one prefix or more: on MinIO temporary ones
// under the role's policy, on VersityGW those of a user whom the bucket policy allows
// the same.
func assume(t *testing.T, server *s3test.Server, d *provision.Description, role provision.Role, prefixes ...string) aws.CredentialsProvider {
	t.Helper()
	kind := provision.MinIO
	if server.Software == s3test.VersityGW {
		kind = provision.VersityGW
	}
	var p provision.Policy
	for i, prefix := range prefixes {
		one, err := d.RolePolicy(role, prefix, kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range one.Statement {
			s.Sid += strconv.Itoa(i)
			p.Statement = append(p.Statement, s)
		}
		p.Version = one.Version
	}
	if kind == provision.MinIO {
		return server.Assume(t, p.JSON())
	}
	user, creds := server.NewUser(t)
	grant := policy(func(all []map[string]any) []map[string]any {
		for _, s := range p.Statement {
			s.Sid, s.Principal = user+s.Sid, map[string][]string{"AWS": {user}}
			text, _ := json.Marshal(s)
			var loose map[string]any
			if err := json.Unmarshal(text, &loose); err != nil {
				t.Fatal(err)
			}
			all = append(all, loose)
		}
		return all
	})
	if err := grant(t.Context(), server.Client(t), d.BucketName); err != nil {
		t.Fatal(err)
	}
	return creds
}

// open opens the bucket as somebody.
func open(t *testing.T, server *s3test.Server, d *provision.Description, creds aws.CredentialsProvider) *s3store.Store {
	t.Helper()
	s, err := s3store.New(t.Context(), server.Client(t, s3test.As(creds)), d.BucketName)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func client(t *testing.T, s backend.VersionedStore, prefix string) *immukv.Client[string] {
	t.Helper()
	db, err := immukv.Open[string](t.Context(), s, immukv.WithPrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// As a writer of the whole bucket, the protocol keeps all that it promises.
func TestConformanceAsWriter(t *testing.T) {
	only := []string{"I1", "I4"}
	if os.Getenv("IMMUKV_LONG") == "1" {
		only = append(only, "I2", "I3", "I5", "I6", "I7", "I8")
	}
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		conformance.Run(t, conformance.Harness{
			New: func(ctx context.Context) (conformance.Store, error) {
				// Some checks are of several stores, under numbers.
				d := described(t, "prefixes: [{s3Prefix: ''}]\nwildcardPrefixes: [{pattern: '*/'}]\n")
				apply(t, provision.New(server.Client(t), d), provision.ApplyOptions{})
				creds := assume(t, server, d, provision.Writer, "", "*/")
				return conformance.Store{
					Open: func(ctx context.Context) (backend.VersionedStore, error) {
						return s3store.New(ctx, server.Client(t, s3test.As(creds)), d.BucketName)
					},
					OpenHTTP: func(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper) (backend.VersionedStore, error) {
						return s3store.New(ctx, server.Client(t, s3test.As(creds), func(o *s3.Options) {
							c := *o.HTTPClient.(*http.Client)
							c.Transport = wrap(c.Transport)
							o.HTTPClient = &c
						}), d.BucketName)
					},
				}, nil
			},
			Lacks: map[conformance.Facility]string{
				conformance.OpenDenied: "what is denied is in TestRoles",
				conformance.OpenAbsent: "it says nothing of a writer",
				conformance.Worker:     "a process is one more client to the server",
				conformance.Restart:    "the server is shared",
			},
			Rounds: 1,
			Only:   only,
		})
	})
}

// denied wants an error that names the missing permission.
func denied(t *testing.T, what string, err error, names ...string) {
	t.Helper()
	if !errors.Is(err, backend.ErrAccessDenied) {
		t.Errorf("%s: %v; want it to be denied", what, err)
		return
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v; want it to name %s", what, err, name)
		}
	}
}

// forbidden wants the server to answer 403.
func forbidden(t *testing.T, what string, err error) {
	t.Helper()
	var response interface{ HTTPStatusCode() int }
	if !errors.As(err, &response) || response.HTTPStatusCode() != http.StatusForbidden {
		t.Errorf("%s: %v; want it to be denied", what, err)
	}
}

// Each role may do what it is for, and nothing else; what is denied is named.
func TestRoles(t *testing.T) {
	servers.Each(t, func(t *testing.T, server *s3test.Server) {
		d := described(t, "prefixes: [{s3Prefix: myapp}, {s3Prefix: myapp2}]\nsealerPrefixes: [myapp]\n")
		apply(t, provision.New(server.Client(t), d), provision.ApplyOptions{})
		other := client(t, open(t, server, d, assume(t, server, d, provision.Writer, "myapp2")), "myapp2/")
		if _, err := other.Set(t.Context(), "a", "of another"); err != nil {
			t.Fatal(err)
		}

		credentials := assume(t, server, d, provision.Writer, "myapp")
		writer := open(t, server, d, credentials)
		mine := client(t, writer, "myapp/")
		entry, err := mine.Set(t.Context(), "a", "mine")
		if err != nil {
			t.Fatal(err)
		}
		reader := open(t, server, d, assume(t, server, d, provision.Reader, "myapp"))
		sealer := open(t, server, d, assume(t, server, d, provision.Sealer, "myapp"))
		roles := map[string]*s3store.Store{"writer": writer, "reader": reader, "sealer": sealer}
		for role, s := range roles {
			db := client(t, s, "myapp/")
			if got, err := db.Get(t.Context(), "a"); err != nil || got.Value != "mine" {
				t.Errorf("%s: %+v, %v", role, got, err)
			}
			if report, err := db.Audit(t.Context()); err != nil || !report.Valid() {
				t.Errorf("%s: %+v, %v", role, report, err)
			}
		}
		for role, s := range roles {
			arn := "arn:aws:s3:::" + d.BucketName
			_, err := s.Get(t.Context(), "myapp2/keys/a.json")
			denied(t, role+" reads beside", err, "s3:GetObject", arn+"/myapp2/keys/a.json")
			_, err = s.Put(t.Context(), "myapp2/keys/b.json", []byte("{}"), backend.IfAbsent())
			denied(t, role+" writes beside", err, "s3:PutObject", arn+"/myapp2/keys/b.json")
			_, err = s.ListNames(t.Context(), backend.NamesRequest{Prefix: "myapp2/"})
			denied(t, role+" lists beside", err, "s3:ListBucket on "+arn)
			_, err = s.ListVersions(t.Context(), "myapp2/_log.json", backend.VersionsRequest{})
			denied(t, role+" lists versions beside", err, "s3:ListBucketVersions on "+arn)
			_, err = s.Put(t.Context(), "myapp/elsewhere", []byte("{}"), backend.IfAbsent())
			denied(t, role+" writes elsewhere", err, "s3:PutObject")
			_, err = s.Put(t.Context(), "myapp/keys/"+role+".json", []byte("{}"), backend.IfAbsent())
			if role == "writer" && err != nil {
				t.Errorf("the writer: %v", err)
			} else if role != "writer" {
				denied(t, role+" writes a key", err, "s3:PutObject", arn+"/myapp/keys/"+role+".json")
			}
			_, err = s.Put(t.Context(), "myapp/tlog/"+role, []byte("{}"), backend.IfAbsent())
			if role == "sealer" && err != nil {
				t.Errorf("the sealer: %v", err)
			} else if role != "sealer" {
				denied(t, role+" seals", err, "s3:PutObject")
			}
		}

		raw := server.Client(t, s3test.As(credentials))
		log := aws.String("myapp/_log.json")
		_, err = raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &d.BucketName, Key: log})
		forbidden(t, "delete", err)
		_, err = raw.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &d.BucketName, Key: log, VersionId: aws.String(string(entry.VersionID))})
		forbidden(t, "delete a version", err)
		forbidden(t, "suspend versioning", suspend(t.Context(), raw, d.BucketName))
		_, err = raw.DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: &d.BucketName})
		forbidden(t, "delete the policy", err)
		if server.Software == s3test.MinIO {
			_, err = raw.DeleteBucketLifecycle(t.Context(), &s3.DeleteBucketLifecycleInput{Bucket: &d.BucketName})
			forbidden(t, "change the lifecycle", err)
		}
		if server.Software == s3test.MinIO {
			// What its bucket policy denies to all holds for nobody with credentials.
			_, err := server.Client(t).PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &d.BucketName, Policy: aws.String(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + d.BucketName + `/*"]}]}`)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := reader.Get(t.Context(), "myapp/_log.json"); err != nil {
				t.Errorf("MinIO asks the bucket policy of a reader: %v; docs/permissions.md says otherwise", err)
			}
		}
		// No policy of these servers can tell; docs/permissions.md says so.
		if _, err := raw.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &d.BucketName, Key: aws.String("myapp/keys/unconditional.json"), Body: strings.NewReader("{}")}); err != nil {
			t.Errorf("a PUT without condition is denied by %s: %v; docs/permissions.md says otherwise", server.Name, err)
		}
	})
}

// The administrator of MinIO applies and checks, and deletes nothing.
func TestAdministrator(t *testing.T) {
	server := servers.Get(t, s3test.MinIO)
	d := described(t, locked+retaining)
	p, err := d.RolePolicy(provision.Administrator, "", provision.MinIO)
	if err != nil {
		t.Fatal(err)
	}
	admin := server.Client(t, s3test.As(server.Assume(t, p.JSON())))
	b := provision.New(admin, d)
	apply(t, b, provision.ApplyOptions{})
	if findings := check(t, b); findings != nil {
		t.Errorf("%+v", findings)
	}
	_, err = admin.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &d.BucketName})
	forbidden(t, "delete the bucket", err)
}

// In compliance mode, not even MinIO's root deletes a version; sets, repairs and
// reads succeed.
func TestObjectLock(t *testing.T) {
	server := servers.Get(t, s3test.MinIO)
	d := described(t, locked+plain)
	apply(t, provision.New(server.Client(t), d), provision.ApplyOptions{})
	root := server.Client(t)
	s, err := s3store.New(t.Context(), root, d.BucketName)
	if err != nil {
		t.Fatal(err)
	}
	db := client(t, s, "myapp/")
	for _, value := range []string{"one", "two"} {
		if _, err := db.Set(t.Context(), "a", value); err != nil {
			t.Fatal(err)
		}
	}
	// An orphan: another client that appends and does not apply.
	if _, err := client(t, &crashing{s}, "myapp/").Set(t.Context(), "a", "three"); err != nil {
		t.Log("the append without its apply:", err)
	}
	fresh := client(t, s, "myapp/")
	if _, err := fresh.Repair(t.Context()); err != nil {
		t.Errorf("repair: %v", err)
	}
	if got, err := fresh.Get(t.Context(), "a"); err != nil || got.Value != "three" {
		t.Errorf("%+v, %v", got, err)
	}
	if report, err := fresh.Audit(t.Context()); err != nil || !report.Valid() {
		t.Errorf("%+v, %v", report, err)
	}
	versions, err := root.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &d.BucketName})
	if err != nil || len(versions.Versions) != 6 {
		t.Fatalf("%d versions, %v", len(versions.Versions), err)
	}
	for _, v := range versions.Versions {
		out, err := root.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &d.BucketName, Key: v.Key, VersionId: v.VersionId, BypassGovernanceRetention: aws.Bool(true)})
		if err == nil {
			t.Errorf("%s %s was deleted: %+v", *v.Key, *v.VersionId, out)
		}
		_, err = root.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{Bucket: &d.BucketName, Key: v.Key, VersionId: v.VersionId,
			BypassGovernanceRetention: aws.Bool(true), Retention: &types.ObjectLockRetention{}})
		if err == nil {
			t.Errorf("the retention of %s %s was removed", *v.Key, *v.VersionId)
		}
	}
	if report, err := fresh.Audit(t.Context()); err != nil || !report.Valid() {
		t.Errorf("after attempts to delete: %+v, %v", report, err)
	}
}

// crashing is a store whose client dies before it applies.
type crashing struct{ backend.VersionedStore }

func (c *crashing) Put(ctx context.Context, name string, body []byte, cond backend.Condition) (backend.Version, error) {
	if strings.Contains(name, "/keys/") {
		return backend.Version{}, &backend.Error{Op: "put", Name: name, Kind: backend.ErrUnavailable}
	}
	return c.VersionedStore.Put(ctx, name, body, cond)
}
