// What is wrong with the page for those who read it. It is evaluated by the test, and is
// no part of the pages.
(() => {
  const wrong = [];
  const name = (e) =>
    e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (e.className ? "." + [...e.classList].join(".") : "") +
    " " + JSON.stringify((e.innerText ?? "").trim().slice(0, 30));
  const shown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });

  // A colour in any notation, as red, green, blue from 0 to 255 and alpha from 0 to 1.
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const colours = new Map();
  const colour = (text) => {
    if (!colours.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      colours.set(text, [r, g, b, a / 255]);
    }
    return colours.get(text);
  };
  const over = (top, under) => top.map((c, i) => (i === 3 ? 1 : c * top[3] + under[i] * (1 - top[3])));
  const canvasColour = colour(getComputedStyle(document.documentElement).backgroundColor);
  const paper = canvasColour[3] === 1 ? canvasColour : colour("Canvas");
  const background = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) layers.push(colour(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), paper);
  };
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const contrast = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };

  // Text: 4.5 to 1, or 3 to 1 if it is large (WCAG 1.4.3).
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const checked = new Set();
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const e = node.parentElement;
    if (!node.data.trim() || checked.has(e) || !shown(e) || e.closest("[disabled], script, style, template, .unseen")) continue;
    checked.add(e);
    const style = getComputedStyle(e);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const under = background(e);
    const ratio = contrast(over(colour(style.color), under), under);
    if (ratio < (large ? 3 : 4.5)) wrong.push(`${name(e)}: contrast ${ratio.toFixed(2)}`);
    if (size < 12) wrong.push(`${name(e)}: text of ${size} pixels`);
  }
  // What is typed, and where: 4.5 to 1 for text, 3 to 1 for the edge of a field or a
  // button (WCAG 1.4.11), unless it is filled with a colour of its own.
  for (const e of document.querySelectorAll("input:not([type=hidden]), button")) {
    if (!shown(e) || e.disabled) continue;
    const style = getComputedStyle(e);
    const under = background(e);
    const around = background(e.parentElement);
    const text = contrast(over(colour(style.color), under), under);
    if (text < 4.5) wrong.push(`${name(e)}: contrast ${text.toFixed(2)}`);
    const edge = Math.max(contrast(over(colour(style.borderTopColor), around), around), contrast(under, around));
    if (edge < 3) wrong.push(`${name(e)}: contrast of its edge ${edge.toFixed(2)}`);
    if (e.placeholder && contrast(over(colour(getComputedStyle(e, "::placeholder").color), under), under) < 4.5)
      wrong.push(`${name(e)}: contrast of its placeholder`);
    const box = e.getBoundingClientRect();
    if (box.height < 24 || box.width < 24) wrong.push(`${name(e)}: ${box.width} by ${box.height} pixels are hard to hit`);
  }

  // Whoever uses the keyboard sees where he is: an outline of 3 to 1 around whatever has
  // the focus (WCAG 2.4.13).
  const had = document.activeElement;
  for (const e of document.querySelectorAll("a[href], button, input:not([type=hidden]), summary, [tabindex='0']")) {
    if (!shown(e) || e.disabled) continue;
    e.focus({ focusVisible: true, preventScroll: true });
    const style = getComputedStyle(e);
    const around = background(e.parentElement);
    if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) wrong.push(`${name(e)}: has no outline when it has the focus`);
    else if (contrast(over(colour(style.outlineColor), around), around) < 3) wrong.push(`${name(e)}: contrast of its outline`);
  }
  had?.focus({ preventScroll: true });

  // Nothing is beyond the edge, except in what scrolls by itself and can be scrolled by
  // keyboard.
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) wrong.push(`the page is ${document.documentElement.scrollWidth} pixels wide, of ${width}`);
  const scrolls = (e) => {
    for (let at = e.parentElement; at && at !== document.body; at = at.parentElement)
      if (/auto|scroll/.test(getComputedStyle(at).overflowX)) return at;
    return null;
  };
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e) || e.closest(".unseen, .skip")) continue;
    const box = e.getBoundingClientRect();
    if (box.width > 0 && (box.right > width + 1 || box.left < -1) && !scrolls(e))
      wrong.push(`${name(e)}: reaches from ${Math.round(box.left)} to ${Math.round(box.right)} pixels, of ${width}`);
    const style = getComputedStyle(e);
    if (/auto|scroll/.test(style.overflowX + style.overflowY) && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)) {
      if (e.tabIndex < 0) wrong.push(`${name(e)}: scrolls, and the keyboard cannot reach it`);
      if (!e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")) wrong.push(`${name(e)}: scrolls, and has no name`);
    }
    if (width <= 480 && /auto|scroll/.test(style.overflowX) && e.scrollWidth > e.clientWidth + 1)
      wrong.push(`${name(e)}: scrolls sideways in a narrow window, ${e.scrollWidth} of ${e.clientWidth} pixels`);
    if (style.overflowX === "hidden" && e.scrollWidth > e.clientWidth + 1 && style.textOverflow !== "ellipsis" && style.position !== "absolute")
      wrong.push(`${name(e)}: is cut off`);
  }

  // One heading, in order, landmarks, names.
  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(shown);
  if (headings.filter((h) => h.tagName === "H1").length !== 1) wrong.push(`there are not one but ${headings.filter((h) => h.tagName === "H1").length} first headings`);
  headings.forEach((h, i) => {
    if (i > 0 && h.tagName[1] > Number(headings[i - 1].tagName[1]) + 1) wrong.push(`${name(h)}: skips a level`);
    if (!h.innerText.trim()) wrong.push("an empty heading");
  });
  for (const landmark of ["main", "header", "nav", "footer"])
    if (document.querySelectorAll(landmark).length < 1) wrong.push(`there is no ${landmark}`);
  if (document.querySelectorAll("main").length !== 1) wrong.push("there is not one main part");
  if (!document.documentElement.lang) wrong.push("the page has no language");
  if (!document.title.trim()) wrong.push("the page has no title");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push(`the id ${id} is there twice`);
  for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]"))
    for (const id of (e.getAttribute("aria-labelledby") ?? e.getAttribute("aria-describedby") ?? e.htmlFor).split(" "))
      if (!document.getElementById(id)) wrong.push(`${name(e)}: refers to ${id}, which is not there`);
  for (const e of document.querySelectorAll("input:not([type=hidden])"))
    if (!e.labels.length && !e.getAttribute("aria-label")) wrong.push(`${name(e)}: has no label`);
  for (const e of document.querySelectorAll("a[href], button, summary"))
    if (!(e.innerText || e.textContent || e.getAttribute("aria-label") || "").trim()) wrong.push(`${name(e)}: has no name`);
  for (const e of document.querySelectorAll("nav, [role=region]"))
    if (!e.getAttribute("aria-label") && !e.getAttribute("aria-labelledby")) wrong.push(`${name(e)}: has no name`);
  for (const e of document.querySelectorAll("th")) if (!e.scope) wrong.push(`${name(e)}: heads neither column nor row`);
  for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) wrong.push(`${name(e)}: has an order of its own`);
  return [...new Set(wrong)];
})()
