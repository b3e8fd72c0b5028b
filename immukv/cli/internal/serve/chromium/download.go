package chromium

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// Download clicks an element, waits for the file that this downloads, and returns its
// name and contents.
func (t *Tab) Download(selector string) (name string, body []byte, err error) {
	dir, err := os.MkdirTemp("", "immukv-download")
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the folder of temporary files
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	tab := chromedp.FromContext(t.ctx)
	events := true
	_, err = chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: dir, EventsEnabled: &events,
		BrowserContextID: tab.BrowserContextID,
	})
	if err != nil {
		return "", nil, fmt.Errorf("allow a download: %w", err)
	}
	type end struct {
		name, guid string
		state      browser.DownloadProgressState
	}
	ended := make(chan end, 1)
	begun := end{} // the tab has one download at a time
	err = chromedp.ListenBrowser(ctx, func(event any) {
		switch e := event.(type) {
		case *browser.EventDownloadWillBegin:
			if string(e.FrameID) == string(tab.Target.TargetID) {
				begun = end{name: e.SuggestedFilename, guid: e.GUID}
			}
		case *browser.EventDownloadProgress:
			if e.GUID == begun.guid && e.State != browser.DownloadProgressStateInProgress {
				begun.state = e.State
				select {
				case ended <- begun:
				default:
				}
			}
		}
	})
	if err != nil {
		return "", nil, err
	}
	if err := t.Click(selector); err != nil {
		return "", nil, err
	}
	select {
	case e := <-ended:
		if e.state != browser.DownloadProgressStateCompleted {
			return "", nil, fmt.Errorf("the download of %s is %s", e.name, e.state)
		}
		body, err = os.ReadFile(filepath.Join(dir, e.guid))
		return e.name, body, err
	case <-ctx.Done():
		return "", nil, fmt.Errorf("wait for the download that clicking %s begins: %w", selector, ctx.Err())
	}
}
