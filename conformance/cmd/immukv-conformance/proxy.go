package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/immukv/immukv-go/backend"
)

// throughProxy opens handles on a part of a bucket whose requests go through a
// proxy in this process, where the suite injects faults.
func throughProxy(u *url.URL, prefix string) func(context.Context, func(http.RoundTripper) http.RoundTripper) (backend.VersionedStore, error) {
	return func(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper) (backend.VersionedStore, error) {
		q := u.Query()
		server, err := url.Parse(q.Get("endpoint"))
		if err != nil {
			return nil, fmt.Errorf("the endpoint is not a URL: %w", err)
		}
		proxy, err := startProxy(server, wrap(http.DefaultTransport))
		if err != nil {
			return nil, err
		}
		q.Set("endpoint", proxy.url)
		through := *u
		through.RawQuery = q.Encode()
		s, err := backend.Open(ctx, through.String())
		if err != nil {
			proxy.server.Close() //nolint:errcheck // nothing was written
			return nil, err
		}
		return &proxiedStore{VersionedStore: withPrefix(s, prefix), store: s, proxy: proxy}, nil
	}
}

// proxiedStore closes the proxy with the store.
type proxiedStore struct {
	backend.VersionedStore
	store io.Closer
	proxy *proxy
}

func (p *proxiedStore) Close() error {
	return errors.Join(p.store.Close(), p.proxy.server.Close())
}

type proxy struct {
	server *http.Server
	url    string
}

// startProxy starts a proxy that forwards requests unchanged, the Host header
// included, because the signature covers it.
func startProxy(server *url.URL, transport http.RoundTripper) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{url: "http://" + listener.Addr().String()}
	p.server = &http.Server{
		ErrorLog: log.New(io.Discard, "", 0), // of connections that are cut on purpose
		Handler: &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host = server.Scheme, server.Host
				r.Out.Host = r.In.Host
			},
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
				panic(http.ErrAbortHandler) // which breaks the connection
			},
		},
	}
	go p.server.Serve(listener) //nolint:errcheck // it ends when it is closed
	return p, nil
}
