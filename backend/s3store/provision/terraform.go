package provision

import (
	"encoding/json"
	"fmt"
	"strings"
)

// terraform returns a configuration with the same content as cloudFormation, in the
// language of Terraform and OpenTofu. The bucket cannot be destroyed with it.
func (d *Description) terraform(grants []grant) string {
	w := &hclWriter{}
	w.line("# An ImmuKV bucket, made by: immukv bucket render")
	w.block(`resource "aws_s3_bucket" "immukv"`, func() {
		w.attr("bucket", d.BucketName)
		w.attr("object_lock_enabled", d.ObjectLock != nil)
		w.block("lifecycle", func() { w.attr("prevent_destroy", true) })
	})
	w.ofBucket("aws_s3_bucket_versioning", func() {
		w.block("versioning_configuration", func() { w.attr("status", "Enabled") })
	})
	w.ofBucket("aws_s3_bucket_server_side_encryption_configuration", func() {
		w.block("rule", func() {
			w.attr("bucket_key_enabled", d.Encryption == EncryptionKMS)
			w.block("apply_server_side_encryption_by_default", func() {
				if d.Encryption == EncryptionKMS {
					w.attr("sse_algorithm", "aws:kms")
					w.attr("kms_master_key_id", d.KMSKeyID)
				} else {
					w.attr("sse_algorithm", "AES256")
				}
			})
		})
	})
	w.ofBucket("aws_s3_bucket_public_access_block", func() {
		for _, name := range []string{"block_public_acls", "ignore_public_acls", "block_public_policy", "restrict_public_buckets"} {
			w.attr(name, true)
		}
	})
	w.ofBucket("aws_s3_bucket_ownership_controls", func() {
		w.block("rule", func() { w.attr("object_ownership", "BucketOwnerEnforced") })
	})
	if lock := d.ObjectLock; lock != nil {
		w.ofBucket("aws_s3_bucket_object_lock_configuration", func() {
			w.block("rule", func() {
				w.block("default_retention", func() {
					w.attr("mode", strings.ToUpper(lock.Mode))
					w.attr("days", lock.Days)
				})
			})
		})
	}
	d.terraformRules(w)
	d.terraformNotices(w)
	w.ofBucket("aws_s3_bucket_policy", func() { w.text("policy", d.BucketPolicy(AWS, true).JSON()) })
	d.terraformRoles(w, grants)
	return w.b.String()
}

func (d *Description) terraformRules(w *hclWriter) {
	if len(d.rules()) == 0 {
		return
	}
	w.ofBucket("aws_s3_bucket_lifecycle_configuration", func() {
		w.line("depends_on = [aws_s3_bucket_versioning.immukv]")
		for _, r := range d.rules() {
			w.block("rule", func() {
				w.attr("id", r.id)
				w.attr("status", "Enabled")
				w.block("filter", func() { w.attr("prefix", r.prefix) })
				w.block("noncurrent_version_expiration", func() {
					w.attr("noncurrent_days", r.days)
					if r.versions > 0 {
						w.attr("newer_noncurrent_versions", r.versions)
					}
				})
			})
		}
	})
}

func (d *Description) terraformNotices(w *hclWriter) {
	if len(d.notices()) == 0 {
		return
	}
	w.ofBucket("aws_s3_bucket_notification", func() {
		for _, n := range d.notices() {
			block, receiver := "queue", "queue_arn"
			switch targetOf(n.arn) {
			case topic:
				block, receiver = "topic", "topic_arn"
			case function:
				block, receiver = "lambda_function", "lambda_function_arn"
			}
			w.block(block, func() {
				w.attr("id", n.id)
				w.attr(receiver, n.arn)
				w.line(`events = [` + quote(created) + `]`)
				w.attr("filter_prefix", n.name)
				w.attr("filter_suffix", logName)
			})
		}
	})
}

func (d *Description) terraformRoles(w *hclWriter, grants []grant) {
	policies, issuerIDs, roles := identifiers{}, identifiers{}, identifiers{}
	for _, g := range grants {
		id := policies.of("_", string(g.role), g.prefix)
		w.block(`resource "aws_iam_policy" `+quote(id), func() {
			w.attr("name_prefix", bounded64("immukv-"+strings.ReplaceAll(id, "_", "-")+"-"))
			w.text("policy", g.policy.JSON())
		})
	}
	issuers := make(map[string]string)
	for _, p := range d.issuers() {
		id := issuerIDs.of("_", "issuer", strings.TrimPrefix(p.IssuerURL, "https://"))
		issuers[p.IssuerURL] = id
		w.block(`resource "aws_iam_openid_connect_provider" `+quote(id), func() {
			w.attr("url", p.IssuerURL)
			w.attr("client_id_list", p.ClientIDs)
		})
	}
	for _, f := range d.federations() {
		id := roles.of("_", "federated", string(f.role), f.prefix)
		w.block(`resource "aws_iam_role" `+quote(id), func() {
			w.attr("name_prefix", "immukv-"+string(f.role)+"-")
			w.template("assume_role_policy", indented(f.trust(func(issuer string) any {
				return "${aws_iam_openid_connect_provider." + issuers[issuer] + ".arn}"
			})))
		})
		w.block(`resource "aws_iam_role_policy" `+quote(id), func() {
			w.line("role = aws_iam_role." + id + ".id")
			w.text("policy", f.policy.JSON())
		})
	}
}

// bounded64 limits a prefix of a name to the length that IAM and the provider allow.
func bounded64(name string) string {
	if len(name) > 64 {
		return name[:64]
	}
	return name
}

// hclWriter writes Terraform's language.
type hclWriter struct {
	b      strings.Builder
	indent string
}

func (w *hclWriter) line(text string) {
	w.b.WriteString(w.indent + text + "\n")
}

func (w *hclWriter) block(head string, body func()) {
	if w.indent == "" {
		w.b.WriteByte('\n')
	}
	w.line(head + " {")
	w.indent += "  "
	body()
	w.indent = w.indent[2:]
	w.line("}")
}

// ofBucket writes a resource that belongs to the bucket.
func (w *hclWriter) ofBucket(kind string, body func()) {
	w.block("resource "+quote(kind)+` "immukv"`, func() {
		w.line("bucket = aws_s3_bucket.immukv.id")
		body()
	})
}

func (w *hclWriter) attr(name string, value any) {
	text := fmt.Sprint(value)
	switch v := value.(type) {
	case string:
		text = quote(v)
	case []string:
		var all []string
		for _, item := range v {
			all = append(all, quote(item))
		}
		text = "[" + strings.Join(all, ", ") + "]"
	}
	w.line(name + " = " + text)
}

// text writes an attribute of several lines, taken literally.
func (w *hclWriter) text(name, value string) { w.template(name, literal(value)) }

// template writes an attribute of several lines, in which ${ } is replaced.
func (w *hclWriter) template(name, value string) {
	w.line(name + " = <<-EOT")
	for line := range strings.Lines(strings.TrimSpace(value)) {
		w.line("  " + strings.TrimRight(line, "\n"))
	}
	w.line("EOT")
}

// literal escapes a text that would be interpreted as a template.
func literal(text string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(text)
}

// quote returns a string of the language. Its escapes are those of JSON that occur in
// printable text.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // strings marshal
	}
	return literal(string(quoted))
}
