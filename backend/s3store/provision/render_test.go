package provision_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/awslabs/goformation/v7"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/immukv/immukv-go/backend/s3store/provision"
)

func render(t testing.TB, d *provision.Description, format provision.Format, opts provision.RenderOptions) string {
	t.Helper()
	text, err := d.Render(format, opts)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// wanted are the policies of roles in the full description, in any order.
func wanted(t testing.TB, d *provision.Description) []string {
	t.Helper()
	var all []string
	for _, g := range []struct {
		role   provision.Role
		prefix string
	}{
		{provision.Writer, "plant-7/"}, {provision.Reader, "plant-7/"}, {provision.Sealer, "plant-7/"},
		{provision.Writer, "plant-8/"}, {provision.Reader, "plant-8/"},
		{provision.Writer, "branch-?/*/"}, {provision.Reader, "branch-?/*/"},
		{provision.Administrator, ""},
	} {
		p, err := d.RolePolicy(g.role, g.prefix, provision.AWS)
		if err != nil {
			t.Fatal(err)
		}
		checkTable(t, g.role, p)
		all = append(all, compact(t, p.JSON()))
	}
	slices.Sort(all)
	return all
}

func compact(t testing.TB, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// checkTable compares a policy with the table of actions, statement by statement:
// the role has every action that the table gives it, and no other.
func checkTable(t testing.TB, role provision.Role, p provision.Policy) {
	t.Helper()
	granted := make(map[string]bool)
	for _, s := range p.Statement {
		if s.Effect != "Allow" {
			t.Errorf("%s: statement %s is not one that allows", role, s.Sid)
		}
		for _, action := range s.Action {
			granted[action] = true
		}
	}
	for _, a := range provision.Actions {
		if got, want := granted[a.Name], slices.Contains(a.Roles, role); got != want {
			t.Errorf("%s is granted %s: %v; the table says %v", role, a.Name, got, want)
		}
		delete(granted, a.Name)
	}
	if len(granted) > 0 {
		t.Errorf("%s has actions that the table has not: %v", role, granted)
	}
}

// Every action and condition key in every policy is in the tables with their source.
func TestPoliciesUseKnownActions(t *testing.T) {
	d := full(t)
	actions := map[string]provision.Action{}
	for _, a := range provision.Actions {
		actions[a.Name] = a
	}
	for _, server := range provision.Servers {
		policies := []provision.Policy{d.BucketPolicy(server, true), d.BucketPolicy(server, false)}
		for _, role := range provision.Roles {
			p, err := d.RolePolicy(role, "plant-7", server)
			if err != nil {
				t.Fatal(err)
			}
			policies = append(policies, p)
		}
		for _, p := range policies {
			for _, s := range p.Statement {
				for _, action := range s.Action {
					a, ok := actions[action]
					if !ok && !(action == "s3:*" && s.Effect == "Deny") {
						t.Errorf("%s: %s: unknown action %s", server, s.Sid, action)
					}
					for _, resource := range s.Resource {
						on := map[bool]string{true: "object", false: "bucket"}[strings.Contains(resource, "/")]
						if strings.Contains(resource, ":kms:") {
							on = "key"
						}
						if ok && on != a.On {
							t.Errorf("%s: %s: %s is on a %s, not on %s", server, s.Sid, action, a.On, resource)
						}
					}
				}
				for _, keys := range s.Condition {
					for key := range keys {
						if provision.ConditionKeys[key] == "" {
							t.Errorf("%s: %s: unknown condition key %s", server, s.Sid, key)
						}
						if server != provision.AWS && strings.Contains(key, "match") {
							t.Errorf("%s does not know %s", server, key)
						}
					}
				}
			}
		}
	}
}

// What a writer and a sealer may write, and where, and under which conditions.
func TestWriting(t *testing.T) {
	d := full(t)
	for role, objects := range map[provision.Role][]string{
		provision.Writer: {"arn:aws:s3:::calibration-7/plant-7/_log.json", "arn:aws:s3:::calibration-7/plant-7/keys/*"},
		provision.Sealer: {"arn:aws:s3:::calibration-7/plant-7/tlog/*"},
	} {
		p, err := d.RolePolicy(role, "plant-7/", provision.AWS)
		if err != nil {
			t.Fatal(err)
		}
		var conditions []string
		for _, s := range p.Statement {
			if slices.Contains(s.Action, "s3:PutObject") {
				if !slices.Equal(s.Resource, objects) {
					t.Errorf("%s writes %q", role, s.Resource)
				}
				conditions = append(conditions, fmt.Sprint(s.Condition))
			}
		}
		if got, want := strings.Join(conditions, " "), "map[Null:map[s3:if-none-match:[false]]] map[Null:map[s3:if-match:[false]]]"; got != want {
			t.Errorf("%s writes under %s, want %s", role, got, want)
		}
	}
}

func TestRenderIAM(t *testing.T) {
	d := full(t)
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(render(t, d, provision.FormatIAM, provision.RenderOptions{})), &all); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		got = append(got, compact(t, string(p)))
	}
	slices.Sort(got)
	if diff := cmp.Diff(wanted(t, d), got); diff != "" {
		t.Error(diff)
	}
	prefix := "plant-7"
	one := render(t, d, provision.FormatIAM, provision.RenderOptions{Role: provision.Reader, Prefix: &prefix})
	p, _ := d.RolePolicy(provision.Reader, prefix, provision.AWS)
	if one != p.JSON()+"\n" {
		t.Error(one)
	}
	golden(t, "testdata/writer.json", render(t, d, provision.FormatIAM, provision.RenderOptions{Role: provision.Writer, Prefix: &prefix}))
}

func TestRenderBucketPolicy(t *testing.T) {
	golden(t, "testdata/bucket-policy.json", render(t, full(t), provision.FormatBucketPolicy, provision.RenderOptions{}))
}

func TestRenderErrors(t *testing.T) {
	d := full(t)
	other, eight := "plant-9", "plant-8"
	for want, call := range map[string]func() (string, error){
		"unknown format": func() (string, error) { return d.Render("pulumi", provision.RenderOptions{}) },
		"unknown role":   func() (string, error) { return d.Render(provision.FormatIAM, provision.RenderOptions{Role: "root"}) },
		"no prefix":      func() (string, error) { return d.Render(provision.FormatIAM, provision.RenderOptions{Prefix: &other}) },
		"unknown server": func() (string, error) { return d.Render(provision.FormatIAM, provision.RenderOptions{Server: "ceph"}) },
		"only for AWS": func() (string, error) {
			return d.Render(provision.FormatTerraform, provision.RenderOptions{Server: provision.MinIO})
		},
		"sealerPref": func() (string, error) {
			return d.Render(provision.FormatIAM, provision.RenderOptions{Role: provision.Sealer, Prefix: &eight})
		},
	} {
		if text, err := call(); !errors.Is(err, provision.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v; want an error that says %q", text, err, want)
		}
	}
}

// CloudFormation's own types hold every property of the template, and the policies
// in it are those of the roles.
func TestRenderCloudFormation(t *testing.T) {
	d := full(t)
	text := render(t, d, provision.FormatCloudFormation, provision.RenderOptions{})
	template, err := goformation.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	for id, r := range raw.Resources {
		typed, err := json.Marshal(template.Resources[id])
		if err != nil {
			t.Fatal(err)
		}
		var back struct{ Properties map[string]any }
		if err := json.Unmarshal(typed, &back); err != nil {
			t.Fatal(err)
		}
		for name := range r.Properties {
			if back.Properties[name] == nil {
				t.Errorf("%s: %s has no property %s, or it is of another form", id, r.Type, name)
			}
		}
	}
	buckets := template.GetAllS3BucketResources()
	if b := buckets["Bucket"]; len(buckets) != 1 || b.VersioningConfiguration.Status != "Enabled" || *b.ObjectLockConfiguration.Rule.DefaultRetention.Days != 30 ||
		*b.LifecycleConfiguration.Rules[0].NoncurrentVersionExpiration.NewerNoncurrentVersions != 100 ||
		b.NotificationConfiguration.QueueConfigurations[0].Filter.S3Key.Rules[0].Value != "plant-7/_log.json" || !*b.PublicAccessBlockConfiguration.BlockPublicPolicy {
		t.Errorf("%+v", b)
	}
	var got []string
	for _, p := range template.GetAllIAMManagedPolicyResources() {
		got = append(got, compact(t, marshal(t, p.PolicyDocument)))
	}
	slices.Sort(got)
	if diff := cmp.Diff(wanted(t, d), got); diff != "" {
		t.Error(diff)
	}
	for _, p := range template.GetAllS3BucketPolicyResources() {
		if diff := cmp.Diff(compact(t, d.BucketPolicy(provision.AWS, true).JSON()), compact(t, marshal(t, p.PolicyDocument))); diff != "" {
			t.Error(diff)
		}
	}
	if providers, roles := template.GetAllIAMOIDCProviderResources(), template.GetAllIAMRoleResources(); len(providers) != 1 || len(roles) != 2 {
		t.Errorf("%d providers and %d roles", len(providers), len(roles))
	}
	golden(t, "testdata/cloudformation.json", text)
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Terraform's own parser reads the configuration, every reference in it leads to a
// resource of it, and the policies in it are those of the roles.
func TestRenderTerraform(t *testing.T) {
	d := full(t)
	text := render(t, d, provision.FormatTerraform, provision.RenderOptions{})
	file, diags := hclsyntax.ParseConfig([]byte(text), "bucket.tf", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, text)
	}
	body := file.Body.(*hclsyntax.Body)
	variables := map[string]map[string]cty.Value{}
	for _, block := range body.Blocks {
		if block.Type != "resource" || len(block.Labels) != 2 {
			t.Fatalf("unexpected block %s %v", block.Type, block.Labels)
		}
		kind, id := block.Labels[0], block.Labels[1]
		if variables[kind] == nil {
			variables[kind] = map[string]cty.Value{}
		}
		if _, twice := variables[kind][id]; twice {
			t.Errorf("%s.%s is there twice", kind, id)
		}
		variables[kind][id] = cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal(id), "arn": cty.StringVal("arn:" + id)})
	}
	ctx := &hcl.EvalContext{Variables: map[string]cty.Value{}}
	for kind, ids := range variables {
		ctx.Variables[kind] = cty.ObjectVal(ids)
	}
	var got []string
	var check func(at string, body *hclsyntax.Body)
	check = func(at string, body *hclsyntax.Body) {
		for name, attr := range body.Attributes {
			value, diags := attr.Expr.Value(ctx)
			if diags.HasErrors() {
				t.Errorf("%s.%s: %v", at, name, diags)
				continue
			}
			switch {
			case name == "policy" && strings.HasPrefix(at, "aws_iam_policy."):
				got = append(got, compact(t, value.AsString()))
			case name == "policy" && strings.HasPrefix(at, "aws_s3_bucket_policy."):
				if diff := cmp.Diff(compact(t, d.BucketPolicy(provision.AWS, true).JSON()), compact(t, value.AsString())); diff != "" {
					t.Error(diff)
				}
			case name == "assume_role_policy":
				if policy := compact(t, value.AsString()); !strings.Contains(policy, `"Federated":"arn:issuer_accounts_example_com"`) {
					t.Errorf("%s: %s", at, policy)
				}
			}
		}
		for _, block := range body.Blocks {
			check(at+"."+block.Type, block.Body)
		}
	}
	for _, block := range body.Blocks {
		check(strings.Join(block.Labels, "."), block.Body)
	}
	slices.Sort(got)
	if diff := cmp.Diff(wanted(t, d), got); diff != "" {
		t.Error(diff)
	}
	golden(t, "testdata/terraform.tf", text)
}

// Without options, nothing that has none is rendered.
func TestRenderSmallest(t *testing.T) {
	d := parse(t, "bucketName: calibration\nregion: us-east-1\nprefixes: [{s3Prefix: ''}]")
	if _, err := goformation.ParseJSON([]byte(render(t, d, provision.FormatCloudFormation, provision.RenderOptions{}))); err != nil {
		t.Error(err)
	}
	text := render(t, d, provision.FormatTerraform, provision.RenderOptions{})
	if _, diags := hclsyntax.ParseConfig([]byte(text), "bucket.tf", hcl.InitialPos); diags.HasErrors() {
		t.Error(diags)
	}
	for _, absent := range []string{"lifecycle_configuration", "notification", "openid", "object_lock_configuration", "ImmuKVAdministrators"} {
		if strings.Contains(text, absent) {
			t.Errorf("it has %s", absent)
		}
	}
}

// golden compares with a file, which IMMUKV_UPDATE=1 writes anew.
func golden(t testing.TB, path, got string) {
	t.Helper()
	if os.Getenv("IMMUKV_UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(string(want), got) {
		t.Errorf("%s is another; with IMMUKV_UPDATE=1 it is written anew:\n%s", path, cmp.Diff(string(want), got))
	}
}

// TestTrustUsesKnownClaims checks who may assume a role in a rendered template.
func TestTrustUsesKnownClaims(t *testing.T) {
	text, err := full(t).Render(provision.FormatCloudFormation, provision.RenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var template any
	if err := json.Unmarshal([]byte(text), &template); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			if v["Action"] == provision.TrustAction {
				for _, keys := range v["Condition"].(map[string]any) {
					for key := range keys.(map[string]any) {
						claim := key[strings.LastIndex(key, ":")+1:]
						if seen[claim] = true; provision.TrustClaims[claim] == "" {
							t.Errorf("unknown condition key %s", key)
						}
					}
				}
			}
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(template)
	for claim := range provision.TrustClaims {
		if !seen[claim] {
			t.Errorf("no role asks for the claim %s", claim)
		}
	}
}
