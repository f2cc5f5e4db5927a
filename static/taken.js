// Read the day on which a photo was taken from its EXIF data. JPEG, HEIC, WebP, AVIF and PNG contain
// the same block, which starts like a TIFF file. The day is sent only with the form.

const EXIF = 0x8769; // tag of the block with the camera's data
const TAKEN = 0x9003; // DateTimeOriginal: "2026:05:03 14:20:11"
const MAX_BYTES = 50_000_000;

// "2026-05-03", or "" if the file has no date.
export async function dayTaken(file) {
  if (file.size > MAX_BYTES) return "";
  const bytes = new Uint8Array(await file.arrayBuffer());
  const view = new DataView(bytes.buffer);
  // The block starts with "II*\0" or "MM\0*". Searching for the star is fast, even in 12 MB.
  for (let star = bytes.indexOf(0x2a, 3); star > 0; star = bytes.indexOf(0x2a, star + 1)) {
    const little = bytes[star - 1] === 0x49;
    const start = star - (little ? 2 : 3);
    if (start > bytes.length - 8 || view.getUint32(start) !== (little ? 0x49492a00 : 0x4d4d002a)) continue;
    const day = dayAt(view, start, little);
    if (day) return day;
  }
  return "";
}

// start: offset of the TIFF block. little: whether its numbers are little-endian.
function dayAt(view, start, little) {
  try {
    const camera = value(view, start + view.getUint32(start + 4, little), EXIF, little);
    const text = camera && value(view, start + camera, TAKEN, little);
    if (!text) return "";
    const bytes = new Uint8Array(view.buffer, start + text, 10);
    const day = String.fromCharCode(...bytes).match(/^(\d{4}):(\d\d):(\d\d)$/);
    return day ? day.slice(1).join("-") : "";
  } catch (error) {
    if (error instanceof RangeError) return ""; // An offset is outside the file, so this is no EXIF.
    throw error;
  }
}

// The number stored for a tag in the directory at `at`; 0 if there is none.
function value(view, at, tag, little) {
  const entries = view.getUint16(at, little);
  for (let i = 0; i < entries; i++) {
    const entry = at + 2 + 12 * i;
    if (view.getUint16(entry, little) === tag) return view.getUint32(entry + 8, little);
  }
  return 0;
}

// Whether the day may go into this field. A camera whose clock is wrong writes a day before the field's
// first one, or in the future. In time zones ahead of UTC, the next day may have begun.
export function isPossible(day, input) {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  return day >= input.min && day <= tomorrow;
}

// Remember the day of a photo in case its result is compared with another photo. It stays on this
// device until the tab is closed. Browsers that allow no storage throw.
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
