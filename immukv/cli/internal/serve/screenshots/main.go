// Command screenshots makes the pictures of docs/serve.md: it fills a store in memory,
// whose clock is set, visits its pages with a real browser, and writes what that shows
// into a folder, in PNG. The same pages give the same pictures on the same machine;
// another one has other fonts.
//
//	go run ./immukv/cli/internal/serve/screenshots -out docs/images
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/immukv/immukv-go/backend"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve"
	"github.com/immukv/immukv-go/immukv/cli/internal/serve/chromium"
	"github.com/immukv/immukv-go/immukv/tlog"
)

func main() {
	out := flag.String("out", "docs/images", "write the pictures into this `folder`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := takeAll(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

// picture is a page as the documentation shows it.
type picture struct {
	name     string
	path     string
	tampered bool // of the store in which an entry was changed
	look     chromium.Look
	do       func(*chromium.Tab) error // before the picture is taken
}

// Widths and heights in CSS pixels, and how many of the picture's stand for one.
const (
	wide    = 960
	narrow  = 400
	highest = 1400
	scale   = 1.5
)

var pictures = []picture{
	{name: "keys", path: "/keys", look: chromium.Look{Width: wide}},
	{name: "key", path: "/key?key=calibration%2Fsensor-012352", look: chromium.Look{Width: wide}},
	{name: "log", path: "/log", look: chromium.Look{Width: wide, Dark: true}, do: isLive},
	{name: "trust", path: "/trust", tampered: true, look: chromium.Look{Width: wide}, do: audit},
	{name: "narrow", path: "/key?key=limits%2Fpump-7", look: chromium.Look{Width: narrow, Dark: true}},
}

func isLive(tab *chromium.Tab) error {
	return tab.Until(`document.querySelector("#live").dataset.state === "live"`)
}

// audit audits the store.
func audit(tab *chromium.Tab) error {
	if err := tab.Click("#audit"); err != nil {
		return err
	}
	if err := tab.Until(`document.activeElement.id === "report-heading"`); err != nil {
		return err
	}
	// The result has the focus, which a reader of the picture does not ask for.
	_, err := chromium.Evaluate[bool](tab, `(document.activeElement.blur(), scrollTo(0, 0), true)`)
	return err
}

// settle gives the moments that the server measured by the machine's clock as if they
// were of the day of the store, so that the pictures are the same another day.
const settle = `(() => {
	for (const time of document.querySelectorAll("time")) {
		if (time.dateTime.startsWith("2026-11-24")) continue;
		time.textContent = "2026-11-24 16:05:12.000";
		const after = time.nextSibling;
		if (after?.data) after.data = after.data.replace(/, after .*/, ", after 12ms");
	}
	return true;
})()`

// takeAll writes all pictures into a folder.
func takeAll(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	clean, key, err := plant(ctx)
	if err != nil {
		return fmt.Errorf("fill the store: %w", err)
	}
	changed, err := tamper(clean)
	if err != nil {
		return fmt.Errorf("change an entry: %w", err)
	}
	homes := make(map[bool]string)
	for tampered, store := range map[bool]backend.VersionedStore{false: clean, true: changed} {
		home, stop, err := show(ctx, store, key)
		if err != nil {
			return err
		}
		defer stop()
		homes[tampered] = home
	}
	browser, err := chromium.Start(ctx)
	if err != nil {
		return err
	}
	defer browser.Close()
	for _, p := range pictures {
		body, err := take(ctx, browser, homes[p.tampered], p)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, p.name+".png"), body, 0o644)
		}
		if err != nil {
			return fmt.Errorf("picture %s: %w", p.name, err)
		}
	}
	return nil
}

// show serves a store until it is stopped.
func show(ctx context.Context, store backend.VersionedStore, key string) (home string, stop func(), err error) {
	verifier, err := tlog.NewVerifier(key)
	if err != nil {
		return "", nil, err
	}
	server, err := serve.Open(store, serve.Config{Name: "s3://plant-7", Verifier: verifier})
	if err != nil {
		return "", nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		server.Close()
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(ctx, listener); err != nil {
			fmt.Fprintln(os.Stderr, "screenshots: serve:", err)
		}
	}()
	return "http://" + listener.Addr().String(), func() { cancel(); <-done }, nil
}

// take takes one picture, as high as the page, within reason.
func take(ctx context.Context, browser *chromium.Browser, home string, p picture) ([]byte, error) {
	tab, err := browser.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer tab.Close()
	look := p.look
	look.Scale, look.Height = scale, 200
	if err := tab.Show(look); err != nil {
		return nil, err
	}
	if _, err := tab.Visit(home + p.path); err != nil {
		return nil, err
	}
	if p.do != nil {
		if err := p.do(tab); err != nil {
			return nil, err
		}
	}
	if _, err := chromium.Evaluate[bool](tab, settle); err != nil {
		return nil, err
	}
	height, err := chromium.Evaluate[int](tab, `Math.ceil(document.documentElement.getBoundingClientRect().height)`)
	if err != nil {
		return nil, err
	}
	look.Height = min(height, highest)
	if err := tab.Show(look); err != nil {
		return nil, err
	}
	body, err := tab.Picture()
	if err != nil {
		return nil, err
	}
	if problems, err := tab.Problems(); err != nil || len(problems) > 0 {
		return nil, errors.Join(err, fmt.Errorf("the page has problems: %v", problems))
	}
	return shrink(body)
}
