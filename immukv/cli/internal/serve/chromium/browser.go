package chromium

import (
	"context"
	"fmt"

	"github.com/chromedp/chromedp"
)

// ForeignName is a name that the browser resolves to this machine, like that of a site
// that rebinds its name. It resolves no other name, so it can reach only loopback
// addresses.
const ForeignName = "rebound.example"

// resolver is that rule as an option of the browser.
const resolver = "MAP " + ForeignName + " 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"

// Browser is a running browser without a window. Its tabs may be used at the same
// time.
type Browser struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// Start starts the browser that [Find] finds, with a new and empty profile. It runs
// until Close, until the context ends, or until this process does.
func Start(ctx context.Context) (*Browser, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	// chromedp adds --no-sandbox to these if it runs as root: Chromium does not start as
	// root otherwise.
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", resolver),
	)
	allocator, cancelAllocator := chromedp.NewExecAllocator(ctx, opts...)
	running, cancelBrowser := chromedp.NewContext(allocator)
	b := &Browser{ctx: running, cancel: func() { cancelBrowser(); cancelAllocator() }}
	if err := chromedp.Do(running); err != nil {
		b.cancel()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return b, nil
}

// Close ends the browser and removes its profile.
func (b *Browser) Close() {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_ = chromedp.Cancel(ctx) // a browser that does not end is killed next
	b.cancel()
}
