package provision

import (
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ownID begins the IDs of this package's lifecycle rules and notifications. Others are
// not changed.
const ownID = "immukv "

// rule is a lifecycle rule of the description: noncurrent versions below a name
// expire.
type rule struct {
	id, prefix     string
	days, versions int // 0 retains none after the days
}

// rules returns the lifecycle rules of the description.
func (d *Description) rules() []rule {
	var all []rule
	for _, p := range d.Prefixes {
		if p.LogVersionRetentionDays > 0 {
			all = append(all, rule{ownID + "log " + p.S3Prefix, p.S3Prefix + logName, p.LogVersionRetentionDays, p.LogVersionsToRetain})
		}
		if p.KeyVersionRetentionDays > 0 {
			all = append(all, rule{ownID + "keys " + p.S3Prefix, p.S3Prefix + keysDir, p.KeyVersionRetentionDays, p.KeyVersionsToRetain})
		}
	}
	for i := range all {
		all[i].id = bounded(all[i].id)
	}
	return all
}

func (r rule) String() string {
	return fmt.Sprintf("noncurrent versions below %q expire after %d days, all but the newest %d", r.prefix, r.days, r.versions)
}

func (r rule) s3() types.LifecycleRule {
	out := types.LifecycleRule{
		ID: aws.String(r.id), Status: types.ExpirationStatusEnabled,
		Filter:                      &types.LifecycleRuleFilter{Prefix: aws.String(r.prefix)},
		NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(int32(r.days))},
	}
	if r.versions > 0 {
		out.NoncurrentVersionExpiration.NewerNoncurrentVersions = aws.Int32(int32(r.versions))
	}
	return out
}

// same reports whether a rule of the bucket is this one.
func (r rule) same(l types.LifecycleRule) bool {
	e := l.NoncurrentVersionExpiration
	return aws.ToString(l.ID) == r.id && l.Status == types.ExpirationStatusEnabled && rulePrefix(l) == r.prefix && e != nil &&
		int(aws.ToInt32(e.NoncurrentDays)) == r.days && int(aws.ToInt32(e.NewerNoncurrentVersions)) == r.versions &&
		l.Expiration == nil && len(l.Transitions) == 0 && len(l.NoncurrentVersionTransitions) == 0
}

// rulePrefix returns the prefix of the names that a rule applies to. A rule with further
// conditions is treated as if it had only the prefix.
func rulePrefix(l types.LifecycleRule) string {
	if f := l.Filter; f != nil {
		if f.And != nil {
			return aws.ToString(f.And.Prefix)
		}
		return aws.ToString(f.Prefix)
	}
	return aws.ToString(l.Prefix) //nolint:staticcheck // old rules have it
}

// expires reports whether a rule, if enabled, deletes versions or hides them behind
// delete markers.
func expires(l types.LifecycleRule) bool {
	hides := l.Expiration != nil && (l.Expiration.Days != nil || l.Expiration.Date != nil)
	return l.Status == types.ExpirationStatusEnabled && (l.NoncurrentVersionExpiration != nil || hides)
}

// touches reports whether a rule for names with that prefix affects a store.
func (d *Description) touches(prefix string) bool {
	for _, p := range d.Prefixes {
		if strings.HasPrefix(prefix, p.S3Prefix) || strings.HasPrefix(p.S3Prefix, prefix) {
			return true
		}
	}
	return len(d.WildcardPrefixes) > 0
}

// bounded limits an ID to the 255 characters that S3 allows.
func bounded(id string) string {
	if len(id) > 255 {
		return fmt.Sprintf("%s~%08x", id[:246], crc32.ChecksumIEEE([]byte(id)))
	}
	return id
}

// target is a kind of notification receiver.
type target string

const (
	queue    target = "Queue"
	topic    target = "Topic"
	function target = "Function"
)

// targetOf returns the kind of receiver that an ARN names, or empty. MinIO's ARNs, such
// as arn:minio:sqs::1:webhook, are queues.
func targetOf(arn string) target {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[5] == "" {
		return ""
	}
	return map[string]target{"sqs": queue, "sns": topic, "lambda": function}[parts[2]]
}

// notice is a notification of the description.
type notice struct{ id, arn, name string }

func (d *Description) notices() []notice {
	var all []notice
	for _, p := range d.Prefixes {
		if p.OnLogEntryCreated != "" {
			all = append(all, notice{bounded(ownID + "log " + p.S3Prefix), p.OnLogEntryCreated, p.S3Prefix + logName})
		}
	}
	return all
}

// created is the event of a new version.
const created = "s3:ObjectCreated:*"

func (n notice) filter() *types.NotificationConfigurationFilter {
	return &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: []types.FilterRule{
		{Name: types.FilterRuleNamePrefix, Value: aws.String(n.name)},
		// Without the suffix, objects whose names begin with the log's would match, too.
		{Name: types.FilterRuleNameSuffix, Value: aws.String(logName)},
	}}}
}
