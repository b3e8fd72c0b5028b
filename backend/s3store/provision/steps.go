package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// lifecycle compares this package's rules with the description, and keeps the others.
func (b *Bucket) lifecycle(s *state) *step {
	wanted := b.d.rules()
	var kept []types.LifecycleRule
	own := make(map[string]types.LifecycleRule)
	for _, l := range s.rules {
		if id := aws.ToString(l.ID); strings.HasPrefix(id, ownID) {
			own[id] = l
		} else {
			kept = append(kept, l)
		}
	}
	all := kept
	var have, want []string
	change := Change{}
	for _, r := range wanted {
		all = append(all, r.s3())
		l, found := own[r.id]
		delete(own, r.id)
		if found && r.same(l) {
			continue
		}
		have = append(have, describeRule(l, found))
		want = append(want, r.String())
		change.Shortens = change.Shortens || !s.empty && r.shortens(l, found)
	}
	for _, l := range own {
		have = append(have, describeRule(l, true))
		want = append(want, fmt.Sprintf("no rule %q", aws.ToString(l.ID)))
	}
	if want == nil {
		return nil
	}
	change.Have, change.Want = strings.Join(have, "; "), strings.Join(want, "; ")
	return &step{change, func(ctx context.Context) error {
		if len(all) == 0 {
			_, err := b.client.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: &b.d.BucketName})
			return err
		}
		_, err := b.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &b.d.BucketName,
			LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: all}})
		return err
	}}
}

// shortens reports whether a rule would delete versions sooner than the one that it
// replaces.
func (r rule) shortens(l types.LifecycleRule, found bool) bool {
	if !found || !expires(l) || rulePrefix(l) != r.prefix || l.NoncurrentVersionExpiration == nil {
		return true // versions are kept for ever now, as far as is known
	}
	e := l.NoncurrentVersionExpiration
	return r.days < int(aws.ToInt32(e.NoncurrentDays)) || r.versions < int(aws.ToInt32(e.NewerNoncurrentVersions))
}

func describeRule(l types.LifecycleRule, found bool) string {
	if !found {
		return "no rule"
	}
	text := fmt.Sprintf("rule %q", aws.ToString(l.ID))
	if l.Status != types.ExpirationStatusEnabled {
		return text + ", disabled"
	}
	text += fmt.Sprintf(": below %q", rulePrefix(l))
	if e := l.NoncurrentVersionExpiration; e != nil {
		text += fmt.Sprintf(" noncurrent versions expire after %d days, all but the newest %d", aws.ToInt32(e.NoncurrentDays), aws.ToInt32(e.NewerNoncurrentVersions))
	}
	if l.Expiration != nil {
		text += " objects are hidden behind delete markers"
	}
	return text
}

// notification compares this package's notifications with the description, and keeps the
// others.
func (b *Bucket) notification(s *state) *step {
	config := &types.NotificationConfiguration{}
	own := make(map[string]string)
	if n := s.notices; n != nil {
		config.EventBridgeConfiguration = n.EventBridgeConfiguration
		for _, c := range n.QueueConfigurations {
			if keep(own, c.Id, c.QueueArn, c.Events, c.Filter) {
				config.QueueConfigurations = append(config.QueueConfigurations, c)
			}
		}
		for _, c := range n.TopicConfigurations {
			if keep(own, c.Id, c.TopicArn, c.Events, c.Filter) {
				config.TopicConfigurations = append(config.TopicConfigurations, c)
			}
		}
		for _, c := range n.LambdaFunctionConfigurations {
			if keep(own, c.Id, c.LambdaFunctionArn, c.Events, c.Filter) {
				config.LambdaFunctionConfigurations = append(config.LambdaFunctionConfigurations, c)
			}
		}
	}
	var have, want []string
	events := []types.Event{created}
	for _, n := range b.d.notices() {
		switch targetOf(n.arn) {
		case queue:
			config.QueueConfigurations = append(config.QueueConfigurations, types.QueueConfiguration{Id: &n.id, QueueArn: &n.arn, Events: events, Filter: n.filter()})
		case topic:
			config.TopicConfigurations = append(config.TopicConfigurations, types.TopicConfiguration{Id: &n.id, TopicArn: &n.arn, Events: events, Filter: n.filter()})
		default:
			config.LambdaFunctionConfigurations = append(config.LambdaFunctionConfigurations,
				types.LambdaFunctionConfiguration{Id: &n.id, LambdaFunctionArn: &n.arn, Events: events, Filter: n.filter()})
		}
		text := describeNotice(&n.arn, events, n.filter())
		if own[n.id] != text {
			have = append(have, orNone(own[n.id]))
			want = append(want, text)
		}
		delete(own, n.id)
	}
	for _, text := range own {
		have = append(have, text)
		want = append(want, "none")
	}
	if want == nil {
		return nil
	}
	return &step{Change{Have: strings.Join(have, "; "), Want: strings.Join(want, "; ")}, func(ctx context.Context) error {
		_, err := b.client.PutBucketNotificationConfiguration(ctx, &s3.PutBucketNotificationConfigurationInput{Bucket: &b.d.BucketName, NotificationConfiguration: config})
		return err
	}}
}

// keep reports whether a notification belongs to others, and records it if it does not.
func keep(own map[string]string, id, arn *string, events []types.Event, filter *types.NotificationConfigurationFilter) bool {
	if !strings.HasPrefix(aws.ToString(id), ownID) {
		return true
	}
	own[*id] = describeNotice(arn, events, filter)
	return false
}

func describeNotice(arn *string, events []types.Event, filter *types.NotificationConfigurationFilter) string {
	var names []string
	for _, e := range events {
		names = append(names, string(e))
	}
	if filter != nil && filter.Key != nil {
		for _, r := range filter.Key.FilterRules {
			names = append(names, fmt.Sprintf("%s %q", strings.ToLower(string(r.Name)), aws.ToString(r.Value)))
		}
	}
	slices.Sort(names)
	return aws.ToString(arn) + " of " + strings.Join(names, ", ")
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
