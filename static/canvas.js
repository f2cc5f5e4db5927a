// Test whether a canvas returns the pixels that were drawn on it. Browsers that resist
// fingerprinting (Tor Browser, LibreWolf, Brave) add noise to them or return none.

const STRIPE_SIDE = 16; // px; JPEG stores colours in squares of 16
const EDGE = 3; // px
const STRIPES = [[0, 0, 0], [255, 255, 255], [192, 128, 96], [48, 96, 160]];
const JPEG_LEVELS = 6; // by which JPEG may change a uniform colour
const TIMEOUT_MS = 15_000; // of any one step; enough for 48 megapixels on an old phone
export const SRGB = { colorSpace: "srgb" };

// The promise's value; null if it fails or takes too long.
export function orNull(promise) {
  const timeout = new Promise((resolve) => setTimeout(resolve, TIMEOUT_MS, null));
  return Promise.race([promise.catch(() => null), timeout]);
}

// The canvas as a JPEG; null if the browser does not make one.
export function toJpeg(canvas) {
  return orNull(new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95)));
}

let answer;

export function canBeRead() {
  answer ??= orNull(readsBack());
  return answer;
}

// Draws stripes, reads them back, and reads them again from a JPEG of the canvas.
async function readsBack() {
  const { canvas, pen } = blank();
  if ((pen.getContextAttributes?.().colorSpace ?? "srgb") !== "srgb") return false;
  STRIPES.forEach((colour, i) => {
    pen.fillStyle = `rgb(${colour})`;
    pen.fillRect(i * STRIPE_SIDE, 0, STRIPE_SIDE, STRIPE_SIDE);
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
  canvas.width = STRIPES.length * STRIPE_SIDE;
  canvas.height = STRIPE_SIDE;
  return { canvas, pen: canvas.getContext("2d", SRGB) };
}

// Ignores the edges of the stripes, where JPEG mixes their colours.
function hasStripes(pen, tolerance) {
  const { data, width } = pen.getImageData(0, 0, STRIPES.length * STRIPE_SIDE, STRIPE_SIDE);
  return data.every((value, i) => {
    const x = Math.floor(i / 4) % width;
    const atEdge = x % STRIPE_SIDE < EDGE || x % STRIPE_SIDE >= STRIPE_SIDE - EDGE;
    const drawn = STRIPES[Math.floor(x / STRIPE_SIDE)][i % 4] ?? 255;
    return atEdge || Math.abs(value - drawn) <= tolerance;
  });
}
