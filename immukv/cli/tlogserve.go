package cli

import (
	"context"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/immukv/immukv-go/immukv/cli/internal/serve"
	"github.com/immukv/immukv-go/immukv/tlog"
)

func newTlogExportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export DIR",
		Short: "Write the tree as files that any web server can serve",
		Long: `Write the checkpoint, the tiles and the entry bundles into a folder, in the layout
of C2SP tlog-tiles. Entry bundles hold the keys and the hashes of entries, not their
values.`,
		Example: `  immukv tlog export public`,
		Args:    args("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.limit(cmd.Context(), cmd, 0)
			defer cancel()
			return a.withClient(ctx, func(db *client) error { return tlog.Export(ctx, db, args[0]) })
		},
	}
}

func newTlogServeCommand(a *app) *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "serve [--addr HOST:PORT]",
		Short: "Serve the tree over HTTP, read only",
		Long: `Serve the checkpoint, the tiles and the entry bundles over HTTP until interrupted, in
the layout of C2SP tlog-tiles. Nothing else of the store is served. By default, only
this machine can connect; --addr :8080 allows all.`,
		Example: `  immukv tlog serve
  immukv tlog serve --addr :8080`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := a.limit(cmd.Context(), cmd, 0)
			defer cancel()
			return a.withClient(ctx, func(db *client) error { return a.serve(ctx, addr, tlog.Handler(db)) })
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "`address` to listen on; port 0 is any that is free")
	return cmd
}

// serve serves until the context ends.
func (a *app) serve(ctx context.Context, addr string, handler http.Handler) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	a.tell("serving at http://%s/\n", listener.Addr())
	return serve.Until(ctx, listener, serve.NewHTTPServer(handler, a.logger()), nil)
}
