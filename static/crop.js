// A square over a picture, moved by mouse, touch and sliders, that crops the picture.

import { SRGB, toJpeg } from "./canvas.js";

const MIN_SHARE = 0.1; // of the picture's short side
const MIN_SIDE = 100; // px; the server refuses photos under 64
const MAX_SENT_SIDE = 1536; // px; three times the model's input, and a small upload

export class Crop {
  // bitmap: the picture. parts: {canvas, box, corner, size, x, y} elements.
  constructor(parts) {
    this.parts = parts;
    const { canvas, box, corner, size, x, y } = parts;
    canvas.parentElement.addEventListener("pointerdown", (event) => this.#grab(event, corner, box));
    size.addEventListener("input", () => this.#resize(size.value / 100));
    x.addEventListener("input", () => this.#slide());
    y.addEventListener("input", () => this.#slide());
  }

  // Show a picture with the largest possible square in the middle.
  show(bitmap) {
    this.bitmap = bitmap;
    const { canvas } = this.parts;
    const scale = Math.min(1, 1000 / Math.max(bitmap.width, bitmap.height));
    canvas.width = Math.round(bitmap.width * scale);
    canvas.height = Math.round(bitmap.height * scale);
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    this.short = Math.min(bitmap.width, bitmap.height);
    this.side = this.short;
    this.#place((bitmap.width - this.side) / 2, (bitmap.height - this.side) / 2);
  }

  // The square as a JPEG without the file's metadata; null if the browser does not make one.
  async toBlob() {
    const out = document.createElement("canvas");
    out.width = out.height = Math.round(Math.min(this.side, MAX_SENT_SIDE));
    const pen = out.getContext("2d", SRGB);
    pen.imageSmoothingQuality = "high";
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, out.width, out.height);
    pen.drawImage(this.bitmap, this.left, this.top, this.side, this.side, 0, 0, out.width, out.height);
    return toJpeg(out);
  }

  #place(left, top) {
    const { bitmap, side } = this;
    this.left = Math.max(0, Math.min(left, bitmap.width - side));
    this.top = Math.max(0, Math.min(top, bitmap.height - side));
    const { box, size, x, y } = this.parts;
    box.style.left = `${(100 * this.left) / bitmap.width}%`;
    box.style.top = `${(100 * this.top) / bitmap.height}%`;
    box.style.width = `${(100 * side) / bitmap.width}%`;
    box.style.height = `${(100 * side) / bitmap.height}%`;
    size.value = Math.round((100 * side) / this.short);
    x.value = Math.round((100 * this.left) / Math.max(1, bitmap.width - side));
    y.value = Math.round((100 * this.top) / Math.max(1, bitmap.height - side));
  }

  #resize(share, left = this.left, top = this.top, centred = true) {
    const before = this.side;
    const minimum = Math.min(this.short, Math.max(MIN_SHARE * this.short, MIN_SIDE));
    this.side = Math.max(minimum, this.short * Math.min(1, share));
    const shift = centred ? (before - this.side) / 2 : 0;
    this.#place(left + shift, top + shift);
  }

  #slide() {
    const { x, y } = this.parts;
    const { bitmap, side } = this;
    this.#place(((bitmap.width - side) * x.value) / 100, ((bitmap.height - side) * y.value) / 100);
  }

  #grab(event, corner, box) {
    if (!this.bitmap) return;
    event.preventDefault();
    const stage = event.currentTarget;
    const frame = stage.getBoundingClientRect();
    const pixels = this.bitmap.width / frame.width;
    const at = (e) => [(e.clientX - frame.left) * pixels, (e.clientY - frame.top) * pixels];
    const [x0, y0] = at(event);
    if (event.target !== corner && event.target !== box) {
      this.#place(x0 - this.side / 2, y0 - this.side / 2); // A tap outside moves the square there.
    }
    const { left, top, side } = this;
    const move = (e) => {
      const [x, y] = at(e);
      if (event.target === corner) {
        const room = Math.min(this.bitmap.width - left, this.bitmap.height - top);
        const wanted = Math.min(side + Math.max(x - x0, y - y0), room);
        this.#resize(wanted / this.short, left, top, false);
      } else {
        this.#place(left + x - x0, top + y - y0);
      }
    };
    const end = () => {
      stage.removeEventListener("pointermove", move);
      stage.removeEventListener("pointerup", end);
      stage.removeEventListener("pointercancel", end);
    };
    stage.setPointerCapture(event.pointerId);
    stage.addEventListener("pointermove", move);
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
  }
}
