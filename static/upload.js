// Makes the form nicer: preview, crop, drop, paste, progress. Without it the form works as it is.

import { Crop } from "./crop.js";

const at = (id) => document.getElementById(id);
const form = at("form");
const inputs = [at("camera"), at("file")];
const words = at("status").dataset;
const crop = new Crop({
  canvas: at("canvas"),
  box: at("crop"),
  corner: at("corner"),
  size: at("crop-size"),
  x: at("crop-x"),
  y: at("crop-y"),
});
const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
let chosen = []; // the Files
let cropped = false; // whether the square is sent instead of the whole file

async function choose(files) {
  hideProblem();
  const picked = [...files];
  chosen = picked;
  cropped = false;
  at("choose").hidden = true;
  at("preview").hidden = false;
  const single = picked.length === 1;
  let bitmap = null;
  try {
    if (single) bitmap = await createImageBitmap(picked[0]);
  } catch {
    // Not every browser reads HEIC, or has this function; and what is not a photo at all, the server
    // says in words.
  }
  // Another photo was picked while this one was decoded: showing this one now would have it judged
  // in the other's place.
  if (chosen !== picked) return;
  if (bitmap) crop.show(bitmap);
  cropped = bitmap !== null;
  at("stage").hidden = at("controls").hidden = !cropped;
  at("no-preview").hidden = cropped || !single;
  if (!single) say(words.several.replace("{count}", chosen.length));
  else say(cropped ? words.ready : words.readyWhole);
  at("send").focus({ preventScroll: true });
  // The least that brings the button into view: the photo above it stays there too.
  at("send").scrollIntoView({ block: "nearest", behavior: "instant" });
}

function forget() {
  chosen = [];
  for (const input of inputs) input.value = "";
  at("choose").hidden = false;
  at("preview").hidden = true;
  say("");
  at("file").focus();
}

function say(text) {
  at("status").textContent = text;
}

function showProblem(text) {
  say("");
  at("problem-words").textContent = text;
  at("problem").hidden = false;
  at("problem").focus();
  at("problem").scrollIntoView({ block: "center" });
}

function hideProblem() {
  at("problem").hidden = true;
}

function busy(on) {
  at("send").disabled = on;
  at("progress").hidden = !on;
}

async function send(event) {
  event.preventDefault();
  if (!chosen.length) return showProblem(words.none);
  hideProblem();
  busy(true); // Before anything is waited for: a second tap must not send it twice.
  const photos = cropped ? [await crop.toBlob()] : chosen;
  const size = photos.reduce((sum, photo) => sum + photo.size, 0);
  if (size > form.dataset.most) return failed(words.tooLarge);
  const body = new FormData();
  body.append("csrf_token", form.elements.csrf_token.value);
  // Its name on the phone is nobody's business.
  for (const photo of photos) body.append("photo", photo, "photo");
  const request = new XMLHttpRequest();
  sent(0);
  request.upload.addEventListener("progress", (e) => sent(e.loaded / e.total));
  request.addEventListener("readystatechange", () => opened(request));
  request.addEventListener("load", () => refused(request));
  request.addEventListener("error", () => failed(words.offline));
  request.open("POST", form.action);
  request.responseType = "document";
  request.send(body);
}

function sent(share) {
  at("progress").value = 100 * share;
  say(share < 1 ? `${words.sending} ${percent.format(share)}` : words.judging);
}

// The server redirects to the result; its address is known before its page is here, and the browser
// fetches that page itself.
function opened(request) {
  if (request.readyState !== XMLHttpRequest.HEADERS_RECEIVED || request.status >= 400) return;
  location.assign(request.responseURL);
  request.abort();
}

// Or it answers with this page and the problem in words.
function refused(request) {
  const page = request.response;
  const problem = page?.getElementById("problem-words") ?? page?.getElementById("words");
  const token = page?.querySelector("[name=csrf_token]");
  if (token) form.elements.csrf_token.value = token.value;
  failed(problem?.textContent.trim() || (request.status === 413 ? words.tooLarge : words.offline));
}

function failed(text) {
  busy(false);
  showProblem(text);
}

for (const input of inputs) {
  input.addEventListener("change", () => input.files[0] && choose(input.files));
}
at("other").addEventListener("click", forget);
form.addEventListener("submit", send);

form.addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.add("dropping");
});
form.addEventListener("dragleave", () => form.classList.remove("dropping"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("dropping");
  if (event.dataTransfer.files[0]) choose(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files[0]) choose(event.clipboardData.files);
});

at("controls").addEventListener("focusin", (event) => {
  if (event.target.closest(".by-keys")) at("controls").classList.add("reached");
});

// A page kept by the browser may come back in the middle of sending, or with a file in its input.
addEventListener("pageshow", () => busy(false));
const kept = inputs.find((input) => input.files[0]);
if (kept) choose(kept.files);
if (!at("problem").hidden) at("problem").focus();
