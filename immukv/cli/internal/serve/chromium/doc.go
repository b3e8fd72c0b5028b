// Package chromium drives a real browser for the tests and the pictures of the pages
// of [immukv serve]. It finds a Chromium or Chrome, starts it without a window, and
// opens tabs, each with a profile of its own. Whatever a page does wrong is a
// [Problem] of its tab: an error on the console, an uncaught exception, a violation
// of the Content-Security-Policy, a request to another host.
//
//	browser, err := chromium.Start(ctx)
//	defer browser.Close()
//	tab, err := browser.Open(ctx)
//	err = tab.Visit("http://127.0.0.1:8080/")
//	err = tab.Until(`document.querySelector("#keys a")`)
//
// It is not part of the command: nothing that is shipped imports it. It never sleeps
// for luck; [Tab.Until] waits for what the page is to become.
//
// [immukv serve]: https://github.com/immukv/immukv-go/blob/main/docs/serve.md
package chromium
