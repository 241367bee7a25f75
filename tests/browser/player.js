"use strict";
/* player.js - goes into a copy of a page of videos that tests/test_player.c writes, behind
 * common.js. Frame k of sample s is gray: 20 k + 5 s in the first video, 250 - 20 k in the second,
 * which has half as many frames at half the rate.
 */
const gray = (id) => byId(id).querySelector("canvas").getContext("2d").getImageData(1, 1, 1, 1).data[0];
const is = (id, want, when) => expect(gray(id) === want, `${id} is ${gray(id)} ${when}, not ${want}`);
const until = async (holds, what) => {
  for (let i = 0; i < 100 && !holds(); i++) await wait(50);
  expect(holds(), what);
};

function checkSteps() {
  is("show-a", 0, "at first");
  is("show-b", 250, "at first");
  press("ArrowRight");
  is("show-a", 20, "after a step");
  is("show-b", 250, "after a step");
  byId("forward").click();
  is("show-a", 40, "after two steps");
  is("show-b", 230, "after two steps");
  press("ArrowLeft");
  is("show-a", 20, "after a step back");
  press("End");
  is("show-a", 140, "at the end");
  is("show-b", 190, "at the end");
  press("ArrowRight");
  is("show-a", 140, "beyond the end");
  press("Home");
  is("show-a", 0, "at the beginning");
  byId("scrub").value = 3;
  byId("scrub").dispatchEvent(new Event("input"));
  is("show-a", 60, "where the slider is");
  expect(byId("time").textContent.startsWith("frame 4 of 8 | 2 of 4, 0."), "the label is " + byId("time").textContent);
}

async function checkDifference() {
  expect(byId("show-difference").hidden, "a difference that nobody asked for");
  press("d");
  await until(() => !byId("show-difference").hidden, "d shows no difference");
  is("show-difference", 230 - 60, "of frames 4 and 2");
  byId("gain").value = "4";
  byId("gain").dispatchEvent(new Event("change"));
  expect(byId("show-difference").querySelector("canvas").style.filter === "brightness(4)", "no gain");
  press("d");
  await until(() => byId("show-difference").hidden, "d does not end the difference");
}

async function checkChoices() {
  press("Home");
  press("n");
  await until(() => gray("show-a") === 5, "n is not the next sample");
  expect(byId("text").textContent === "class 1", "the text is " + byId("text").textContent);
  press("p");
  await until(() => gray("show-a") === 0, "p is not the previous sample");
  press("x");
  await until(() => gray("show-a") === 250 && gray("show-b") === 0, "x does not exchange");
  press("x");
  await until(() => gray("show-a") === 0, "x does not exchange back");
  byId("b").value = "-1";
  byId("b").dispatchEvent(new Event("change"));
  await until(() => byId("show-b").hidden, "B does not go");
  expect(byId("difference").disabled, "a difference of one video");
  byId("b").value = "1";
  byId("b").dispatchEvent(new Event("change"));
  await until(() => !byId("show-b").hidden, "B does not come back");
}

async function checkPlay() {
  press("Home");
  byId("speed").value = "4";
  press(" ");
  expect(byId("play").textContent === "Pause", "space does not play");
  const seen = new Set();
  for (let i = 0; i < 60; i++) { seen.add(gray("show-a")); await wait(25); }
  expect(seen.size > 3, `only ${seen.size} frames in a second and a half`);
  byId("play").click();
  const paused = byId("time").textContent;
  await wait(300);
  expect(byId("time").textContent === paused && timer === null, "pause does not stop");
}

addEventListener("load", async () => {
  await until(() => clips.length === 2, "nothing is loaded");
  try {
    checkSteps();
    await checkDifference();
    await checkChoices();
    await checkPlay();
    expect(document.querySelectorAll("script").length === 5 && byId("a").options[0].textContent.includes("</script>"), "a title is markup");
    checkContrast();
    checkWidth(innerWidth);
    checkWidth(360);
  } catch (error) {
    problems.push("check: " + error.stack);
  }
  report();
});
