# An ImmuKV bucket, made by: immukv bucket render

resource "aws_s3_bucket" "immukv" {
  bucket = "calibration-7"
  object_lock_enabled = true
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "immukv" {
  bucket = aws_s3_bucket.immukv.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "immukv" {
  bucket = aws_s3_bucket.immukv.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
      kms_master_key_id = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "immukv" {
  bucket = aws_s3_bucket.immukv.id
  block_public_acls = true
  ignore_public_acls = true
  block_public_policy = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "immukv" {
  bucket = aws_s3_bucket.immukv.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "immukv" {
  bucket = aws_s3_bucket.immukv.id
  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = 30
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "immukv" {
  bucket = aws_s3_bucket.immukv.id
  depends_on = [aws_s3_bucket_versioning.immukv]
  rule {
    id = "immukv log plant-7/"
    status = "Enabled"
    filter {
      prefix = "plant-7/_log.json"
    }
    noncurrent_version_expiration {
      noncurrent_days = 3650
      newer_noncurrent_versions = 100
    }
  }
  rule {
    id = "immukv keys plant-7/"
    status = "Enabled"
    filter {
      prefix = "plant-7/keys/"
    }
    noncurrent_version_expiration {
      noncurrent_days = 365
      newer_noncurrent_versions = 10
    }
  }
}

resource "aws_s3_bucket_notification" "immukv" {
  bucket = aws_s3_bucket.immukv.id
  queue {
    id = "immukv log plant-7/"
    queue_arn = "arn:aws:sqs:eu-central-1:111122223333:calibrations"
    events = ["s3:ObjectCreated:*"]
    filter_prefix = "plant-7/_log.json"
    filter_suffix = "_log.json"
  }
}

resource "aws_s3_bucket_policy" "immukv" {
  bucket = aws_s3_bucket.immukv.id
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "ImmuKVNobodyDeletes",
          "Effect": "Deny",
          "Principal": "*",
          "Action": [
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:BypassGovernanceRetention"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/*"
          ]
        },
        {
          "Sid": "ImmuKVNobodyRemovesTheBucket",
          "Effect": "Deny",
          "Principal": "*",
          "Action": [
            "s3:DeleteBucket"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "ImmuKVAdministratorsConfigure",
          "Effect": "Deny",
          "Principal": "*",
          "Action": [
            "s3:PutBucketVersioning",
            "s3:PutLifecycleConfiguration",
            "s3:PutBucketPolicy",
            "s3:DeleteBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketObjectLockConfiguration"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "ArnNotEquals": {
              "aws:PrincipalArn": [
                "arn:aws:iam::111122223333:role/bucket-administrator"
              ]
            }
          }
        },
        {
          "Sid": "ImmuKVConditionalWrites",
          "Effect": "Deny",
          "Principal": "*",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-match": [
                "true"
              ],
              "s3:if-none-match": [
                "true"
              ]
            }
          }
        },
        {
          "Sid": "ImmuKVEncryptedConnections",
          "Effect": "Deny",
          "Principal": "*",
          "Action": [
            "s3:*"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7",
            "arn:aws:s3:::calibration-7/*"
          ],
          "Condition": {
            "Bool": {
              "aws:SecureTransport": [
                "false"
              ]
            }
          }
        }
      ]
    }
  EOT
}

resource "aws_iam_policy" "writer_plant_7" {
  name_prefix = "immukv-writer-plant-7-"
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-7/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "plant-7/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "WriteIfAbsent",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-7/_log.json",
            "arn:aws:s3:::calibration-7/plant-7/keys/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-none-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "WriteIfMatch",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-7/_log.json",
            "arn:aws:s3:::calibration-7/plant-7/keys/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt",
            "kms:GenerateDataKey"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_policy" "reader_plant_7" {
  name_prefix = "immukv-reader-plant-7-"
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-7/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "plant-7/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_policy" "sealer_plant_7" {
  name_prefix = "immukv-sealer-plant-7-"
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-7/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "plant-7/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "SealIfAbsent",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-7/tlog/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-none-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "SealIfMatch",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-7/tlog/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt",
            "kms:GenerateDataKey"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_policy" "writer_plant_8" {
  name_prefix = "immukv-writer-plant-8-"
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-8/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "plant-8/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "WriteIfAbsent",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-8/_log.json",
            "arn:aws:s3:::calibration-7/plant-8/keys/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-none-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "WriteIfMatch",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-8/_log.json",
            "arn:aws:s3:::calibration-7/plant-8/keys/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt",
            "kms:GenerateDataKey"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_policy" "reader_plant_8" {
  name_prefix = "immukv-reader-plant-8-"
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-8/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "plant-8/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_policy" "writer_branch" {
  name_prefix = "immukv-writer-branch-"
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/branch-?/*/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "branch-?/*/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "WriteIfAbsent",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/branch-?/*/_log.json",
            "arn:aws:s3:::calibration-7/branch-?/*/keys/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-none-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "WriteIfMatch",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/branch-?/*/_log.json",
            "arn:aws:s3:::calibration-7/branch-?/*/keys/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt",
            "kms:GenerateDataKey"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_policy" "reader_branch" {
  name_prefix = "immukv-reader-branch-"
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/branch-?/*/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "branch-?/*/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_policy" "administrator" {
  name_prefix = "immukv-administrator-"
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Configure",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions",
            "s3:GetBucketVersioning",
            "s3:CreateBucket",
            "s3:GetBucketLocation",
            "s3:PutBucketVersioning",
            "s3:GetEncryptionConfiguration",
            "s3:PutEncryptionConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:PutLifecycleConfiguration",
            "s3:GetBucketNotification",
            "s3:PutBucketNotification",
            "s3:GetBucketPolicy",
            "s3:PutBucketPolicy",
            "s3:GetBucketPublicAccessBlock",
            "s3:PutBucketPublicAccessBlock",
            "s3:GetBucketObjectLockConfiguration",
            "s3:PutBucketObjectLockConfiguration"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_openid_connect_provider" "issuer_accounts_example_com" {
  url = "https://accounts.example.com"
  client_id_list = ["calibration", "branches"]
}

resource "aws_iam_role" "federated_reader_plant_7" {
  name_prefix = "immukv-reader-"
  assume_role_policy = <<-EOT
    {
      "Statement": [
        {
          "Action": "sts:AssumeRoleWithWebIdentity",
          "Condition": {
            "StringEquals": {
              "accounts.example.com:aud": [
                "calibration"
              ],
              "accounts.example.com:email": [
                "someone@example.com",
                "else@example.com"
              ]
            }
          },
          "Effect": "Allow",
          "Principal": {
            "Federated": "${aws_iam_openid_connect_provider.issuer_accounts_example_com.arn}"
          }
        }
      ],
      "Version": "2012-10-17"
    }
  EOT
}

resource "aws_iam_role_policy" "federated_reader_plant_7" {
  role = aws_iam_role.federated_reader_plant_7.id
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/plant-7/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "plant-7/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}

resource "aws_iam_role" "federated_writer_branch" {
  name_prefix = "immukv-writer-"
  assume_role_policy = <<-EOT
    {
      "Statement": [
        {
          "Action": "sts:AssumeRoleWithWebIdentity",
          "Condition": {
            "StringEquals": {
              "accounts.example.com:aud": [
                "branches"
              ],
              "accounts.example.com:email": [
                "branch@example.com"
              ]
            }
          },
          "Effect": "Allow",
          "Principal": {
            "Federated": "${aws_iam_openid_connect_provider.issuer_accounts_example_com.arn}"
          }
        }
      ],
      "Version": "2012-10-17"
    }
  EOT
}

resource "aws_iam_role_policy" "federated_writer_branch" {
  role = aws_iam_role.federated_writer_branch.id
  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "Read",
          "Effect": "Allow",
          "Action": [
            "s3:GetObject",
            "s3:GetObjectVersion"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/branch-?/*/*"
          ]
        },
        {
          "Sid": "List",
          "Effect": "Allow",
          "Action": [
            "s3:ListBucket",
            "s3:ListBucketVersions"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ],
          "Condition": {
            "StringLike": {
              "s3:prefix": [
                "branch-?/*/*"
              ]
            }
          }
        },
        {
          "Sid": "SeeVersioning",
          "Effect": "Allow",
          "Action": [
            "s3:GetBucketVersioning"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7"
          ]
        },
        {
          "Sid": "WriteIfAbsent",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/branch-?/*/_log.json",
            "arn:aws:s3:::calibration-7/branch-?/*/keys/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-none-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "WriteIfMatch",
          "Effect": "Allow",
          "Action": [
            "s3:PutObject"
          ],
          "Resource": [
            "arn:aws:s3:::calibration-7/branch-?/*/_log.json",
            "arn:aws:s3:::calibration-7/branch-?/*/keys/*"
          ],
          "Condition": {
            "Null": {
              "s3:if-match": [
                "false"
              ]
            }
          }
        },
        {
          "Sid": "UseKey",
          "Effect": "Allow",
          "Action": [
            "kms:Decrypt",
            "kms:GenerateDataKey"
          ],
          "Resource": [
            "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
          ]
        }
      ]
    }
  EOT
}
