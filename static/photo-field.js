// A field of a form for one photo, or for several: choosing, preview and cropping.

import { canBeRead, orNull } from "./canvas.js";
import { Crop } from "./crop.js";
import { dayTaken, isPossible } from "./taken.js";

export class PhotoField {
  // element: contains the parts, whose ids start with its data-prefix. changed: called with this
  // field when photos are being loaded, and when they were chosen or removed.
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
    this.at = (id) => document.getElementById(element.dataset.prefix + id);
    this.inputs = [...element.querySelectorAll("[type=file]")];
    this.name = this.inputs[0].name;
    this.several = this.inputs.some((input) => input.multiple);
    this.crop = new Crop({
      canvas: this.at("canvas"),
      box: this.at("crop"),
      corner: this.at("corner"),
      size: this.at("crop-size"),
      x: this.at("crop-x"),
      y: this.at("crop-y"),
    });
    this.files = [];
    this.loading = false; // while the photo is decoded for the preview
    this.cropped = false; // whether the square is sent instead of the whole file
    this.day = ""; // the day in the photo's EXIF data
    for (const input of this.inputs) {
      input.addEventListener("change", () => input.files[0] && this.choose(input.files));
    }
    this.at("other").addEventListener("click", () => this.#forget());
    this.at("controls").addEventListener("focusin", (event) => {
      if (event.target.closest(".by-keys")) this.at("controls").classList.add("reached");
    });
  }

  async choose(files) {
    const picked = this.several ? [...files] : [files[0]];
    this.files = picked;
    this.loading = true;
    this.cropped = false;
    this.at("choose").hidden = true;
    this.at("preview").hidden = false;
    // Until the new photo is shown, there is nothing to crop.
    for (const part of ["stage", "controls", "no-preview", "no-crop"]) this.at(part).hidden = true;
    this.changed(this);
    const single = picked.length === 1;
    const [bitmap, readable, day] = single ? await look(picked[0]) : [];
    // Another photo was picked while this one was decoded, so this one must not be shown.
    if (this.files !== picked) return;
    this.loading = false;
    if (bitmap && readable) this.crop.show(bitmap);
    this.#show(Boolean(bitmap), Boolean(readable), single);
    this.#date(day ?? "");
    this.changed(this);
  }

  // The photos to send: the square, or all files as they are; null if the square cannot be cropped.
  // In that case the person sees that the whole photo will be sent, and may send it.
  async photos() {
    if (!this.cropped) return this.files;
    const square = await orNull(this.crop.toBlob());
    if (square) return [square];
    this.#show(true, false, true);
    return null;
  }

  // When the browser restores a page, its input may contain a file.
  restore() {
    const kept = this.inputs.find((input) => input.files[0]);
    if (kept) this.choose(kept.files);
  }

  #show(decoded, readable, single) {
    this.cropped = decoded && readable;
    this.at("stage").hidden = this.at("controls").hidden = !this.cropped;
    this.at("no-preview").hidden = decoded || !single;
    this.at("no-crop").hidden = !decoded || readable;
  }

  // taken: the day in the EXIF data, or "".
  #date(taken) {
    const input = this.at("taken");
    const day = input && !isPossible(taken, input) ? "" : taken;
    // Keep a day that the person typed, unless the new file has one.
    if (input && (day || input.value === this.day)) input.value = day;
    this.day = day;
  }

  #forget() {
    this.files = [];
    this.loading = false;
    for (const input of this.inputs) input.value = "";
    this.at("choose").hidden = false;
    this.at("preview").hidden = true;
    this.#date("");
    this.changed(this);
    this.at("file").focus();
  }
}

// The picture (null if this browser cannot decode it, as HEIC in many), whether a canvas of it can
// be read, and the day on which it was taken. The server reports files that are no photos.
function look(file) {
  const decoded = (async () => createImageBitmap(file))();
  return Promise.all([orNull(decoded), canBeRead(), orNull(dayTaken(file))]);
}
