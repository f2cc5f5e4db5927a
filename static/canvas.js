// Whether this browser gives back what was drawn. Browsers that resist fingerprinting (Tor Browser,
// LibreWolf, Brave) put noise into what is read from a canvas, and some give nothing at all.

const SIDE = 16; // px of a stripe; JPEG stores colours in squares of 16
const EDGE = 3;
const STRIPES = [[0, 0, 0], [255, 255, 255], [192, 128, 96], [48, 96, 160]];
const JPEG_LEVELS = 6; // how far JPEG may move a flat colour
const MOST_MS = 5000; // for any one step; the test takes 10 ms
export const SRGB = { colorSpace: "srgb" }; // whatever the screen shows beyond it

// What the promise gives; null where it fails or does not end in time.
export function orNull(promise, ms = MOST_MS) {
  const late = new Promise((resolve) => setTimeout(resolve, ms, null));
  return Promise.race([promise.catch(() => null), late]);
}

// The canvas as a JPEG; null where the browser gives none.
export function toJpeg(canvas) {
  return orNull(new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95)));
}

let answer;

export function canBeRead() {
  answer ??= orNull(readsBack());
  return answer;
}

// Draws stripes, reads them, and reads them once more from the JPEG that would be sent.
async function readsBack() {
  const { canvas, pen } = blank();
  if ((pen.getContextAttributes?.().colorSpace ?? "srgb") !== "srgb") return false;
  STRIPES.forEach((colour, i) => {
    pen.fillStyle = `rgb(${colour})`;
    pen.fillRect(i * SIDE, 0, SIDE, SIDE);
  });
  if (!hasStripes(pen, 0)) return false;
  const blob = await toJpeg(canvas);
  if (blob?.type !== "image/jpeg") return false;
  const again = blank();
  again.pen.drawImage(await createImageBitmap(blob), 0, 0);
  return hasStripes(again.pen, JPEG_LEVELS);
}

function blank() {
  const canvas = document.createElement("canvas");
  canvas.width = STRIPES.length * SIDE;
  canvas.height = SIDE;
  return { canvas, pen: canvas.getContext("2d", SRGB) };
}

// Their edges are left out, where JPEG lets one colour run into the next.
function hasStripes(pen, most) {
  const { data } = pen.getImageData(0, 0, STRIPES.length * SIDE, SIDE);
  return data.every((value, i) => {
    const x = Math.floor(i / 4) % (STRIPES.length * SIDE);
    const atEdge = x % SIDE < EDGE || x % SIDE >= SIDE - EDGE;
    return atEdge || Math.abs(value - (STRIPES[Math.floor(x / SIDE)][i % 4] ?? 255)) <= most;
  });
}
