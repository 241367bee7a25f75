"use strict";
/* clips.js - a picture or a video on a page: PNG files that hold frames from left to right, drawn on
 * a canvas, or one file of another kind, which the browser itself plays or shows.
 */
const SMALLEST = 256; /* pixels on the screen: smaller clips are enlarged by a whole factor */

class Clip {
  constructor(info) {
    this.frames = info.frames;
    this.fps = info.fps;
    this.images = info.sources.map((source) => {
      const image = new Image();
      image.src = source;
      return image;
    });
    this.ready = Promise.all(this.images.map((image) => image.decode()));
  }

  get count() { return this.images.length * this.frames; }
  get width() { return Math.max(1, Math.floor(this.images[0].naturalWidth / this.frames)); }
  get height() { return this.images[0].naturalHeight; }
  get seconds() { return this.count / this.fps; }

  /* The frame that is seen at a time; the last one stays. */
  frameAt(time) { return Math.min(this.count - 1, Math.max(0, Math.floor(time * this.fps + 1e-6))); }

  /* Draws frame k over the whole canvas. */
  draw(canvas, k) {
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.images[Math.floor(k / this.frames)], (k % this.frames) * this.width, 0,
      this.width, this.height, 0, 0, canvas.width, canvas.height);
  }

  /* Makes the canvas as large as a frame, and a small one larger on the screen. */
  fit(canvas) {
    canvas.width = this.width;
    canvas.height = this.height;
    canvas.style.width = this.width * Math.max(1, Math.floor(SMALLEST / this.width)) + "px";
  }
}

const byId = (id) => document.getElementById(id);
const pageData = JSON.parse(byId("data").textContent);
const typing = (event) => event.ctrlKey || event.metaKey || event.altKey ||
  (event.target.matches && event.target.matches("input:not([type=range]), select, textarea"));
