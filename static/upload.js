// Adds preview, cropping, drag and drop, pasting and progress to a form for photos. The form works
// without this script.

import { PhotoField } from "./photo-field.js";
import { isPossible, rememberDay, rememberedDay } from "./taken.js";

const at = (id) => document.getElementById(id);
const form = at("form");
const words = at("status").dataset;
const fields = [...form.querySelectorAll(".photo-field")].map((part) => new PhotoField(part, chosen));
const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });

function chosen(field) {
  hideProblem();
  busy(false);
  if (field.loading) return say(words.opening);
  const count = field.files.length;
  if (!count) return say("");
  if (count > 1) say(words.several.replace("{count}", count));
  else say(field.cropped ? words.ready : words.readyWhole);
  if (fields.some((other) => !other.files.length)) return field.at("other").focus({ preventScroll: true });
  at("send").focus({ preventScroll: true });
  // Scroll as little as possible, so that the photo above the button stays in view.
  at("send").scrollIntoView({ block: "nearest", behavior: "instant" });
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
  at("send").disabled = on || fields.some((field) => field.loading);
  at("progress").hidden = !on;
  for (const field of fields) field.at("other").disabled = on;
}

async function send(event) {
  event.preventDefault();
  if (fields.some((field) => !field.files.length)) return showProblem(words.none);
  hideProblem();
  busy(true); // Before the first await, so that a second tap does not send the form again.
  const body = new FormData();
  for (const { name, value, type } of form.elements) {
    if (name && type !== "file") body.append(name, value);
  }
  let size = 0;
  for (const field of fields) {
    const photos = await field.photos();
    if (!photos) return chosen(field);
    for (const photo of photos) {
      size += photo.size;
      body.append(field.name, photo, "photo"); // Does not reveal the file's name on the device.
    }
  }
  if (size > form.dataset.most) return failed(words.tooLarge);
  const request = new XMLHttpRequest();
  sent(0);
  // On a phone, the progress is below the visible part of the page.
  at("status").scrollIntoView({ block: "nearest", behavior: "instant" });
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

// The server redirects to the result. Its address is known before the page is loaded, so the browser
// loads the page by itself.
function opened(request) {
  if (request.readyState !== XMLHttpRequest.HEADERS_RECEIVED || request.status >= 400) return;
  rememberDay(new URL(request.responseURL).pathname, fields[0].day);
  location.assign(request.responseURL);
  request.abort();
}

// The server answers with this page and an error message.
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

// Choose files for the field on which they were dropped; otherwise the first one without a photo.
function chooseFor(target, files) {
  if (!files[0] || !at("progress").hidden) return; // What is being sent cannot be replaced.
  const empty = fields.find((field) => !field.files.length) ?? fields[0];
  (fields.find((field) => field.element.contains(target)) ?? empty).choose(files);
}

form.addEventListener("submit", send);
form.addEventListener("dragover", (event) => {
  event.preventDefault();
  form.classList.add("dropping");
});
form.addEventListener("dragleave", () => form.classList.remove("dropping"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("dropping");
  chooseFor(event.target, event.dataTransfer.files);
});
document.addEventListener("paste", (event) => chooseFor(event.target, event.clipboardData.files));

busy(false); // Firefox keeps a button disabled when the page is reloaded.
// The browser may restore a page that was sending, or one with a file in its input.
addEventListener("pageshow", (event) => {
  if (event.persisted) busy(false);
});
for (const field of fields) field.restore();
for (const input of form.querySelectorAll("[data-result]")) {
  const day = rememberedDay(input.dataset.result);
  if (isPossible(day, input)) input.value ||= day;
}
if (!at("problem").hidden) at("problem").focus();
