package provision_test

import (
	"context"
	"fmt"
	"log"

	"github.com/immukv/immukv-go/backend/s3store/provision"
)

const exampleDescription = `
bucketName: calibration-7
region: eu-central-1
objectLock: {mode: compliance, days: 30}
prefixes:
  - s3Prefix: plant-7/
`

func ExampleParse() {
	d, err := provision.Parse([]byte(exampleDescription))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.BucketName, d.ObjectLock.Mode, d.Prefixes[0].S3Prefix)

	_, err = provision.Parse([]byte("bucketName: calibration-7\nobjectLock: {mode: compliance, years: 1}\n"))
	fmt.Println(err)
	// Output:
	// calibration-7 compliance plant-7/
	// invalid description of a bucket: line 2: objectLock has the unknown member "years"; known: mode, days
}

func ExampleDescription_RolePolicy() {
	d, err := provision.Parse([]byte(exampleDescription))
	if err != nil {
		log.Fatal(err)
	}
	p, err := d.RolePolicy(provision.Reader, "plant-7/", provision.AWS)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range p.Statement {
		fmt.Println(s.Effect, s.Action, s.Resource)
	}
	// Output:
	// Allow [s3:GetObject s3:GetObjectVersion] [arn:aws:s3:::calibration-7/plant-7/*]
	// Allow [s3:ListBucket s3:ListBucketVersions] [arn:aws:s3:::calibration-7]
	// Allow [s3:GetBucketVersioning] [arn:aws:s3:::calibration-7]
}

// A bucket is brought into line, and then checked.
func ExampleBucket_Apply() {
	ctx := context.Background()
	d, err := provision.Parse([]byte(exampleDescription))
	if err != nil {
		log.Fatal(err)
	}
	bucket, err := provision.Open(ctx, d, "")
	if err != nil {
		log.Fatal(err)
	}
	err = bucket.Apply(ctx, provision.ApplyOptions{Report: func(c provision.Change, err error) { fmt.Println(c, err) }})
	if err != nil {
		log.Fatal(err) // what was done stays done; apply again
	}
	findings, err := bucket.Check(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range findings {
		fmt.Println(f.Aspect, f.Problem, f.Remedy)
	}
}

// The policy of a role that reads one prefix, on a server other than AWS.
func ExampleDescription_Render() {
	d, err := provision.Parse([]byte(exampleDescription))
	if err != nil {
		log.Fatal(err)
	}
	prefix := "plant-7/"
	policy, err := d.Render(provision.FormatIAM, provision.RenderOptions{
		Role: provision.Reader, Prefix: &prefix, Server: provision.MinIO,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(policy)
	// Output:
	// {
	//   "Version": "2012-10-17",
	//   "Statement": [
	//     {
	//       "Sid": "Read",
	//       "Effect": "Allow",
	//       "Action": [
	//         "s3:GetObject",
	//         "s3:GetObjectVersion"
	//       ],
	//       "Resource": [
	//         "arn:aws:s3:::calibration-7/plant-7/*"
	//       ]
	//     },
	//     {
	//       "Sid": "List",
	//       "Effect": "Allow",
	//       "Action": [
	//         "s3:ListBucket",
	//         "s3:ListBucketVersions"
	//       ],
	//       "Resource": [
	//         "arn:aws:s3:::calibration-7"
	//       ],
	//       "Condition": {
	//         "StringLike": {
	//           "s3:prefix": [
	//             "plant-7/*"
	//           ]
	//         }
	//       }
	//     },
	//     {
	//       "Sid": "SeeVersioning",
	//       "Effect": "Allow",
	//       "Action": [
	//         "s3:GetBucketVersioning"
	//       ],
	//       "Resource": [
	//         "arn:aws:s3:::calibration-7"
	//       ]
	//     }
	//   ]
	// }
}
