// Lays two photos over each other, with a line between them that mouse, touch and keys move. Without
// this script the photos are side by side.

const pair = document.getElementById("pair");
const slide = document.getElementById("slide");
const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });

function show() {
  pair.style.setProperty("--line", `${slide.value}%`);
  slide.setAttribute("aria-valuetext", slide.dataset.text.replace("{percent}", percent.format(slide.value / 100)));
}

function follow(event) {
  const { left, width } = pair.getBoundingClientRect();
  slide.value = Math.round((100 * (event.clientX - left)) / width);
  show();
}

pair.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  pair.setPointerCapture(event.pointerId);
  follow(event);
});
pair.addEventListener("pointermove", (event) => {
  if (pair.hasPointerCapture(event.pointerId)) follow(event);
});
slide.addEventListener("input", show);

pair.classList.add("overlaid");
document.getElementById("slide-row").hidden = false;
show();
