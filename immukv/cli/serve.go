package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/backend/observe"
	"github.com/immukv/immukv-go/immukv"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	addr        string
	hosts       []string
	sealed      verifierFlags
	readTimeout time.Duration
	poll        time.Duration
}

func newServeCommand(a *app) *cobra.Command {
	var flags serveFlags
	cmd := &cobra.Command{
		Use:   "serve [--addr HOST:PORT] [--verifier KEY]",
		Short: "Show the store in a browser, read only",
		Long: `Serve pages about the store to browsers, until interrupted: its keys, the history of
each with the differences between its values, the log as it grows, and a page that
verifies and audits it and lists the findings.

It never writes to the store, not even a repair. By default, only this machine can
connect. It has no accounts: with another --addr, anyone who can reach that address can
read every value of the store. It then answers requests that name this address; --host
is for further names, such as that of a proxy in front of it.

With --verifier the checkpoint of a sealed log is checked, and audits compare the log
with it: see immukv tlog.`,
		Example: `  immukv serve
  immukv serve --verifier example.com/plant-7+3b1f…+AZ… --witness-policy witnesses
  immukv serve --addr :8080 --host calibration.example.com`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case flags.readTimeout <= 0:
				return usagef("--read-timeout %v is not positive", flags.readTimeout)
			case flags.poll <= 0:
				return usagef("--poll %v is not positive", flags.poll)
			}
			ctx, cancel := a.limit(cmd.Context(), cmd, 0)
			defer cancel()
			return a.servePages(ctx, &flags)
		},
	}
	cmd.Flags().StringVar(&flags.addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 is any that is free")
	cmd.Flags().StringArrayVar(&flags.hosts, "host", nil, "also answer to this `name`; may be given several times")
	flags.sealed.add(cmd.Flags())
	cmd.Flags().DurationVar(&flags.readTimeout, "read-timeout", serve.DefaultReadTimeout, "time limit for making a page, a `duration`")
	cmd.Flags().DurationVar(&flags.poll, "poll", immukv.DefaultPollInterval, "time between two requests for new entries, about this `duration`, while a page shows the log")
	return cmd
}

// servePages serves the pages of the store until the context ends.
func (a *app) servePages(ctx context.Context, flags *serveFlags) (err error) {
	config := serve.Config{
		Name: storeName(a.store), Addr: flags.addr, Hosts: flags.hosts, ReadTimeout: flags.readTimeout, PollInterval: flags.poll,
		Logger: a.logger(), Client: []immukv.Option{immukv.WithPrefix(a.prefix)},
	}
	if config.Verifier, err = flags.sealed.ifAny(); err != nil {
		return err
	}
	if config.Witnesses, err = flags.sealed.policy(); err != nil {
		return err
	}
	opened, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := opened.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close the store: %w", closeErr)
		}
	}()
	var store backend.VersionedStore = opened
	if a.telemetry.opts != nil {
		store = observe.Wrap(store, a.telemetry.opts...)
		config.Client = append(config.Client, observe.Client(a.telemetry.opts...))
	}
	server, err := serve.Open(store, config)
	if errors.Is(err, serve.ErrInvalidHost) {
		return &usageError{fmt.Errorf("--host: %w", err)}
	}
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", flags.addr)
	if err != nil {
		server.Close()
		return err
	}
	if !serve.Loopback(listener.Addr()) {
		a.tell("immukv: other machines can reach %s and read every key and value of the store there, unencrypted and without a password; "+
			"use --addr 127.0.0.1:8080 for this machine only\n", listener.Addr())
	}
	a.tell("serving at http://%s/\n", listener.Addr())
	return server.Serve(ctx, listener)
}

// storeName returns a store's URL without the parts that may contain credentials.
func storeName(store string) string {
	u, err := url.Parse(store)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
