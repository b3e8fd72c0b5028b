package provision

import "strings"

// object is a JSON object of a template.
type object = map[string]any

// cloudFormation returns a template with the bucket, its policy, the policies of roles,
// and the roles of identity providers. The bucket remains when the stack is deleted.
func (d *Description) cloudFormation(grants []grant) string {
	ids := identifiers{}
	ids.of("", "Bucket")
	ids.of("", "BucketPolicy")
	resources := object{
		"Bucket": object{"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": d.bucketProperties()},
		"BucketPolicy": object{"Type": "AWS::S3::BucketPolicy", "Properties": object{
			"Bucket": object{"Ref": "Bucket"}, "PolicyDocument": d.BucketPolicy(AWS, true)}},
	}
	for _, g := range grants {
		resources[ids.of("", string(g.role), g.prefix, "Policy")] = object{"Type": "AWS::IAM::ManagedPolicy", "Properties": object{
			"Description": strings.TrimSpace("ImmuKV " + g.name()), "PolicyDocument": g.policy}}
	}
	issuers := make(map[string]string)
	for _, p := range d.issuers() {
		id := ids.of("", "Issuer", strings.TrimPrefix(p.IssuerURL, "https://"))
		issuers[p.IssuerURL] = id
		resources[id] = object{"Type": "AWS::IAM::OIDCProvider", "Properties": object{"Url": p.IssuerURL, "ClientIdList": p.ClientIDs}}
	}
	for _, f := range d.federations() {
		resources[ids.of("", "Federated", string(f.role), f.prefix)] = object{"Type": "AWS::IAM::Role", "Properties": object{
			"AssumeRolePolicyDocument": f.trust(func(issuer string) any { return object{"Ref": issuers[issuer]} }),
			"Policies":                 []any{object{"PolicyName": "immukv", "PolicyDocument": f.policy}}}}
	}
	return indented(object{"AWSTemplateFormatVersion": "2010-09-09", "Description": "An ImmuKV bucket, made by: immukv bucket render", "Resources": resources})
}

func (d *Description) bucketProperties() object {
	encryption := object{"SSEAlgorithm": "AES256"}
	if d.Encryption == EncryptionKMS {
		encryption = object{"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": d.KMSKeyID}
	}
	properties := object{
		"BucketName":              d.BucketName,
		"VersioningConfiguration": object{"Status": "Enabled"},
		"BucketEncryption": object{"ServerSideEncryptionConfiguration": []any{object{
			"ServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": d.Encryption == EncryptionKMS}}},
		"PublicAccessBlockConfiguration": object{"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true},
		"OwnershipControls":              object{"Rules": []any{object{"ObjectOwnership": "BucketOwnerEnforced"}}},
	}
	if lock := d.ObjectLock; lock != nil {
		properties["ObjectLockEnabled"] = true
		properties["ObjectLockConfiguration"] = object{"ObjectLockEnabled": "Enabled", "Rule": object{
			"DefaultRetention": object{"Mode": strings.ToUpper(lock.Mode), "Days": lock.Days}}}
	}
	var rules []any
	for _, r := range d.rules() {
		expiration := object{"NoncurrentDays": r.days}
		if r.versions > 0 {
			expiration["NewerNoncurrentVersions"] = r.versions
		}
		rules = append(rules, object{"Id": r.id, "Status": "Enabled", "Prefix": r.prefix, "NoncurrentVersionExpiration": expiration})
	}
	if rules != nil {
		properties["LifecycleConfiguration"] = object{"Rules": rules}
	}
	notices := object{}
	for _, n := range d.notices() {
		kind, receiver := "QueueConfigurations", "Queue"
		switch targetOf(n.arn) {
		case topic:
			kind, receiver = "TopicConfigurations", "Topic"
		case function:
			kind, receiver = "LambdaConfigurations", "Function"
		}
		list, _ := notices[kind].([]any)
		notices[kind] = append(list, object{receiver: n.arn, "Event": created, "Filter": object{"S3Key": object{"Rules": []any{
			object{"Name": "prefix", "Value": n.name}, object{"Name": "suffix", "Value": logName}}}}})
	}
	if len(notices) > 0 {
		properties["NotificationConfiguration"] = notices
	}
	return properties
}
