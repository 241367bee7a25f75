"use strict";
/* common.js - what the checks share: they gather problems and log them, and tests/browser/run reads
 * the log.
 */
const problems = [];
const counts = { width: innerWidth, dark: matchMedia("(prefers-color-scheme: dark)").matches };

addEventListener("error", (event) => problems.push("error: " + (event.message || event.target.src)), true);
const consoleError = console.error;
console.error = (...args) => { problems.push("console: " + args.join(" ")); consoleError(...args); };

const expect = (holds, what) => { if (!holds) problems.push(what); };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

function channels(color) {
  const parts = color.match(/[\d.]+/g).map(Number);
  return { rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1 };
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((v) => {
    const s = v / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function groundOf(element) {
  for (let at = element; at; at = at.parentElement) {
    const c = channels(getComputedStyle(at).backgroundColor);
    if (c.alpha === 1) return c.rgb;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
}

/* WCAG 2.1, level AA: 4.5 for text. */
function checkContrast() {
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, style")) continue;
    const ink = channels(getComputedStyle(element).color).rgb;
    const ground = groundOf(element);
    const key = ink + "/" + ground;
    counts.texts = (counts.texts || 0) + 1;
    if (seen.has(key)) continue;
    seen.add(key);
    const [a, b] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    expect(ratio >= 4.5, `contrast ${ratio.toFixed(2)} of "${node.textContent.trim().slice(0, 30)}" (${key})`);
  }
}

function checkWidth(width) {
  document.body.style.width = width + "px";
  const needs = document.body.scrollWidth;
  expect(needs <= width, `the page needs ${needs} pixels where there are ${width}`);
  document.body.style.width = "";
}

function report() {
  console.log("CHECKED " + JSON.stringify(counts));
  for (const problem of problems) console.log("FAIL " + problem);
  console.log("END");
}

const press = (key, at = document.body) => at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
