// The day on which a photo was taken, as its EXIF data has it: JPEG, HEIC, WebP, AVIF and PNG all
// carry the same block, which begins as a TIFF file does. It never leaves the device by itself.

const EXIF = 0x8769; // tag of the block with the camera's data
const TAKEN = 0x9003; // DateTimeOriginal: "2026:05:03 14:20:11"
const MOST_BYTES = 50_000_000;

// "2026-05-03", or "" where the file has no such date.
export async function dayTaken(file) {
  if (file.size > MOST_BYTES) return "";
  const bytes = new Uint8Array(await file.arrayBuffer());
  const view = new DataView(bytes.buffer);
  // It begins with "II*\0" or "MM\0*"; a star is found fast in 12 MB.
  for (let star = bytes.indexOf(0x2a, 3); star > 0; star = bytes.indexOf(0x2a, star + 1)) {
    const little = bytes[star - 1] === 0x49;
    const start = star - (little ? 2 : 3);
    if (start > bytes.length - 8 || view.getUint32(start) !== (little ? 0x49492a00 : 0x4d4d002a)) continue;
    const day = dayAt(view, start, little);
    if (day) return day;
  }
  return "";
}

// start: of the TIFF block. little: whether its numbers have their lowest byte first.
function dayAt(view, start, little) {
  try {
    const camera = value(view, start + view.getUint32(start + 4, little), EXIF, little);
    const text = camera && value(view, start + camera, TAKEN, little);
    if (!text) return "";
    const bytes = new Uint8Array(view.buffer, start + text, 10);
    const day = String.fromCharCode(...bytes).match(/^(\d{4}):(\d\d):(\d\d)$/);
    return day ? day.slice(1).join("-") : "";
  } catch (error) {
    if (error instanceof RangeError) return ""; // It leads beyond the file: no EXIF after all.
    throw error;
  }
}

// The number stored for a tag in the directory at `at`; 0 where it has none.
function value(view, at, tag, little) {
  const entries = view.getUint16(at, little);
  for (let i = 0; i < entries; i++) {
    const entry = at + 2 + 12 * i;
    if (view.getUint16(entry, little) === tag) return view.getUint32(entry + 8, little);
  }
  return 0;
}

// Keeps the day of a photo for when its result is compared with another one: on this device alone,
// until this tab is closed. Browsers that allow no storage throw.
export function rememberDay(address, day) {
  try {
    if (day) sessionStorage.setItem(address, day);
  } catch {}
}

export function rememberedDay(address) {
  try {
    return sessionStorage.getItem(address) ?? "";
  } catch {
    return "";
  }
}
