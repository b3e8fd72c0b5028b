package s3store_test

import (
	"context"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// switchable is a client's surroundings, in which something can go wrong after
// the store was opened.
type switchable struct {
	change func(*s3.Options)
}

func (w *switchable) option(o *s3.Options) {
	creds, client := o.Credentials, o.HTTPClient
	now := func() s3.Options {
		changed := s3.Options{Credentials: creds, HTTPClient: client}
		if w.change != nil {
			w.change(&changed)
		}
		return changed
	}
	o.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		return now().Credentials.Retrieve(ctx)
	})
	o.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
		if elsewhere := now().BaseEndpoint; elsewhere != nil {
			u, err := url.Parse(*elsewhere)
			if err != nil {
				return nil, err
			}
			r.URL.Host, r.Host = u.Host, u.Host
		}
		return client.Do(r)
	})
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }
