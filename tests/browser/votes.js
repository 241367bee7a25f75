"use strict";
/* votes.js - goes into a copy of a page of `sbs`, behind common.js: votes for the lighter picture in
 * every pair, reloads the page, exports what it kept, and imports good and bad files.
 */
const PHASE = "votes.js phase";
Object.assign(counts, { votes: 0 });

const pressedOf = (row) => Array.from(row.querySelectorAll("button"), (b) => b.getAttribute("aria-pressed") === "true");
const rows = () => Array.from(byId("aspects").tBodies[0].rows);
const until = async (holds, what) => {
  for (let i = 0; i < 100 && !holds(); i++) await wait(50);
  expect(holds(), what);
};

function brightness(side) {
  const canvas = byId(side).querySelector("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.reduce((sum, v, i) => sum + (i % 4 === 3 ? 0 : v), 0);
}

function checkOrders() {
  const key = (name) => makeOrder(name).map((e) => e.left.token).join();
  expect(key("Ann") === key("Ann"), "a judge's order changes");
  expect(new Set(["a", "b", "c", "d", "e"].map(key)).size > 1, "all judges have the same order and sides");
  let first = 0, all = 0;
  for (let i = 0; i < 200; i++) {
    for (const e of makeOrder("judge " + i)) {
      first += e.left === e.pair.clips[0];
      all++;
    }
  }
  expect(first > 0.4 * all && first < 0.6 * all, `one clip is on the left ${first} of ${all} times`);
  expect(makeOrder("x").length === pageData.pairs.length, "an order lacks pairs");
}

async function checkKeys() {
  press("2");
  expect(pressedOf(rows()[0]).join() === "false,true,false", "2 is not `same`");
  expect(rows()[1].classList.contains("current"), "the next question is not marked");
  press("ArrowUp");
  press("3");
  expect(pressedOf(rows()[0]).join() === "false,false,true", "3 is not `right`");
  press("ArrowUp");
  press("0");
  expect(pressedOf(rows()[0]).join() === "false,false,false", "0 does not take an answer back");
  rows()[0].querySelector("button").click();
  expect(pressedOf(rows()[0]).join() === "true,false,false", "the button does not vote");
  press("ArrowUp");
  press("0");
  press("Enter");
  expect(byId("progress").textContent.startsWith("pair 2 of "), "Enter is not the next pair");
  press("Backspace");
  expect(byId("progress").textContent.startsWith("pair 1 of "), "Backspace is not the previous pair");
  await until(() => shown.length === 2, "the pair is not shown");
  if (shown[0].clip.count < 2) return;
  press(" ");
  expect(byId("play").textContent === "Play", "space does not pause");
  frame = 0;
  press(".");
  expect(frame === 1, "a full stop is not one frame on");
  press(",");
  expect(frame === 0, "a comma is not one frame back");
}

/* Beauty goes to the lighter clip, softness to the darker one, the others are the same. */
async function voteOnAll() {
  for (let k = 0; k < order.length; k++) {
    await until(() => at === k && shown.length === 2, "pair " + k + " is not shown");
    const left = brightness("left"), right = brightness("right");
    expect(left !== right, "two clips of one brightness");
    press(left > right ? "1" : "3");
    press(left > right ? "3" : "1");
    for (let a = 2; a < pageData.aspects.length; a++) press("2");
    counts.votes += pageData.aspects.length;
    press("Enter");
  }
}

async function exportedText() {
  const make = URL.createObjectURL;
  let blob = null;
  URL.createObjectURL = (b) => { blob = b; return make.call(URL, b); };
  HTMLAnchorElement.prototype.click = function () { expect(this.download.startsWith("votes-"), "no name to save as"); };
  byId("export").click();
  URL.createObjectURL = make;
  return blob ? blob.text() : "";
}

async function importText(text) {
  const files = new DataTransfer();
  files.items.add(new File([text], "votes.json"));
  byId("import").files = files.files;
  byId("import").dispatchEvent(new Event("change"));
  await wait(100);
  return byId("message").textContent;
}

async function checkImport(text) {
  const good = JSON.parse(text);
  expect((await importText("{")).includes("cannot be read"), "a file that is no JSON is read");
  expect((await importText("[]")).includes("no file of votes"), "a file without votes is read");
  expect((await importText(JSON.stringify({ ...good, page: "x" }))).includes("another page"), "votes of another page are read");
  const strange = { ...good.votes[0], pair: "x" };
  expect((await importText(JSON.stringify({ ...good, votes: [strange] }))).includes("not on this page"), "a vote on nothing is read");
  expect(judge === "Ann", "a bad file changes the judge");
  const message = await importText(JSON.stringify({ ...good, judge: "<b>Bob", votes: good.votes.slice(0, 3) }));
  expect(message.includes("<b>Bob") && !byId("message").querySelector("b"), "the file of another judge is not read: " + message);
  expect(byId("progress").textContent.includes(" 3 of "), "another judge's votes are not shown");
  byId("leave").click();
  expect(byId("known").textContent.includes("Ann, <b>Bob"), "judges of this browser are not listed");
}

async function firstPhase() {
  expect(!byId("start").hidden && byId("judging").hidden, "it does not begin with the name");
  expect(document.body.textContent.indexOf("Export") >= 0, "no export");
  checkOrders();
  byId("judge").value = "Ann";
  byId("begin").requestSubmit();
  await until(() => shown.length === 2, "the first pair is not shown");
  await checkKeys();
  await voteOnAll();
  sessionStorage.setItem(PHASE, byId("progress").textContent);
  location.reload();
}

async function secondPhase(before) {
  const done = before.split(", ")[1];
  await until(() => shown.length === 2, "after a reload no pair is shown");
  expect(judge === "Ann" && byId("who").textContent.includes("Ann"), "the judge is forgotten");
  expect(byId("progress").textContent.includes(done), `answers are forgotten: ${byId("progress").textContent} after ${done}`);
  expect(done === `${counts.votes = pageData.pairs.length * pageData.aspects.length} of ${counts.votes} answers`, "not all is answered: " + done);
  const text = await exportedText();
  console.log("SAVED " + JSON.stringify(JSON.parse(text)));
  await checkImport(text);
  byId("judge").value = "Ann";
  byId("begin").requestSubmit();
  await until(() => shown.length === 2, "Ann does not come back");
  checkContrast();
  checkWidth(innerWidth);
  checkWidth(360);
  report();
}

addEventListener("load", () => {
  const before = sessionStorage.getItem(PHASE);
  (before ? secondPhase(before) : firstPhase()).catch((error) => { problems.push("check: " + error.stack); report(); });
});
