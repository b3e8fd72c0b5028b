package chromium

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds each wait for a page. Pages react in milliseconds; the rest is for a
// busy machine.
const patience = time.Minute

// interval is how often the condition of a wait is checked.
const interval = 10 * time.Millisecond

// Tab is a page in the browser, with a profile of its own. It is for one goroutine.
type Tab struct {
	ctx      context.Context
	cancel   context.CancelFunc
	problems *problems
}

// Open opens an empty tab, as wide as a notebook's screen, in light colours. It is
// there until Close, or until the context ends.
func (b *Browser) Open(ctx context.Context) (*Tab, error) {
	t := &Tab{problems: &problems{home: make(map[string]bool)}}
	ctx2, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(t.problems.observe))
	stop := context.AfterFunc(ctx, cancel)
	t.ctx, t.cancel = ctx2, func() { stop(); cancel() }
	// The first use decides how long the tab lives, so it has no time limit.
	if err := chromedp.Do(t.ctx); err != nil {
		t.cancel()
		return nil, fmt.Errorf("open a tab: %w", err)
	}
	err := t.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, audits.Enable, cdp.Empty{})
		return err
	}))
	if err == nil {
		err = t.Show(Look{})
	}
	if err != nil {
		t.cancel()
		return nil, fmt.Errorf("set up a tab: %w", err)
	}
	return t, nil
}

// Close closes the tab.
func (t *Tab) Close() { t.cancel() }

func (t *Tab) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

func run[T any](t *Tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// Look is how a tab shows its pages.
type Look struct {
	Width, Height int     // in CSS pixels; 1100 by 800 if zero
	Scale         float64 // device pixels for each; 1 if zero
	Dark          bool    // the user prefers a dark page
	NoScript      bool    // scripts do not run
}

// Show changes how the tab shows its pages.
func (t *Tab) Show(look Look) error {
	width, height, scale, scheme := look.Width, look.Height, look.Scale, "light"
	if width == 0 {
		width = 1100
	}
	if height == 0 {
		height = 800
	}
	if scale == 0 {
		scale = 1
	}
	if look.Dark {
		scheme = "dark"
	}
	return t.do(
		chromedp.EmulateViewport(int64(width), int64(height), chromedp.EmulateScale(scale)),
		chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{
					{Name: "prefers-color-scheme", Value: scheme},
					{Name: "prefers-reduced-motion", Value: "reduce"}, // no picture should be taken during a transition
				},
			})
			if err != nil {
				return err
			}
			_, err = cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled,
				emulation.SetScriptExecutionDisabledParams{Value: look.NoScript})
			return err
		}))
}

// Visit goes to an address, waits for the page to load, and returns the status that the
// server answered with. Requests that the page then makes to other hosts are problems.
func (t *Tab) Visit(address string) (status int, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	t.problems.visit(u.Host)
	resp, err := run(t, chromedp.NavigateResponse(address))
	if err != nil {
		return 0, fmt.Errorf("visit %s: %w", address, err)
	}
	return int(resp.Status), nil
}

// Address returns the address of the page.
func (t *Tab) Address() (string, error) { return run(t, chromedp.Location()) }

// Evaluate returns the value of an expression of the page's language.
func Evaluate[T any](t *Tab, expression string) (T, error) {
	return run(t, chromedp.Evaluate[T](expression))
}

// Inject runs a script as if an attacker had put it into the page: unlike Evaluate, it
// may not compile text.
func (t *Tab) Inject(script string) error {
	return t.do(chromedp.Evaluate[chromedp.Void](script, func(p *runtime.EvaluateParams) {
		p.AllowUnsafeEvalBlockedByCSP = new(bool)
	}))
}

// Until waits until the expression is true on the page. The page may be replaced by
// another one meanwhile. The browser's own way to wait compiles the expression in the
// page, which a strict Content-Security-Policy forbids.
func (t *Tab) Until(expression string) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	var last error
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if err == nil && is {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err // of a page on its way out, or for good
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", expression, errors.Join(ctx.Err(), last))
		case <-time.After(interval):
		}
	}
}

// Click clicks the middle of the first element that a CSS selector finds, as soon as
// there is one.
func (t *Tab) Click(selector string) error {
	if err := t.do(chromedp.Click(chromedp.CSS(selector))); err != nil {
		return fmt.Errorf("click %s: %w", selector, err)
	}
	return nil
}

// Press presses keys, one after the other: text, or names of package kb.
func (t *Tab) Press(keys string) error { return t.do(chromedp.KeyEvent(keys)) }

// Problems returns the problems of the tab since the last call. Those of all that was
// done before the call are among them.
func (t *Tab) Problems() ([]Problem, error) {
	// Events come in the order of what causes them. So those before this answer are in.
	if _, err := Evaluate[int](t, "1"); err != nil {
		return t.problems.take(), fmt.Errorf("ask the page for what is left to report: %w", err)
	}
	return t.problems.take(), nil
}

// Picture returns what the tab shows, in PNG.
func (t *Tab) Picture() ([]byte, error) {
	return run(t, func(ctx context.Context, target *chromedp.Target) ([]byte, error) {
		shot, err := cdp.Call(ctx, target, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng})
		return shot.Data, err
	})
}

// Back goes back to the page before.
func (t *Tab) Back() error { return t.do(chromedp.NavigateBack()) }
