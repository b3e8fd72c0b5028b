package chromium

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Rewrite changes each page that the tab goes to from now on, between the server and
// the browser, as if the server had been made to write it so. The headers stay.
func (t *Tab) Rewrite(change func(page string) string) error {
	paused := chromedp.Events(t.ctx, fetch.RequestPaused)
	err := t.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{
			ResourceType: network.ResourceTypeDocument, RequestStage: fetch.RequestStageResponse,
		}}})
		return err
	}))
	if err != nil {
		return fmt.Errorf("stand between server and browser: %w", err)
	}
	go func() {
		for e, err := range paused {
			if err != nil {
				return // the tab was closed
			}
			if err := t.fulfil(e, change); err != nil {
				t.problems.add(Network, "change %s: %v", e.Request.URL, err)
			}
		}
	}()
	return nil
}

func (t *Tab) fulfil(e fetch.EventRequestPaused, change func(string) string) error {
	body, err := chromedp.Call(t.ctx, fetch.GetResponseBody, fetch.GetResponseBodyParams{RequestID: e.RequestID})
	if err != nil {
		return err
	}
	headers := slices.DeleteFunc(e.ResponseHeaders, func(h *fetch.HeaderEntry) bool {
		return strings.EqualFold(h.Name, "Content-Length")
	})
	_, err = chromedp.Call(t.ctx, fetch.FulfillRequest, fetch.FulfillRequestParams{
		RequestID: e.RequestID, ResponseCode: e.ResponseStatusCode, ResponseHeaders: headers, Body: []byte(change(string(body.Body))),
	})
	return err
}
