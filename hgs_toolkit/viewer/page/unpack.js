// The block of hgs_toolkit/viewer/packing.py: gzip of arrays, one after the other, little-endian.

const STEPS = 65535;
const TYPES = { "<f4": Float32Array, "<u2": Uint16Array, "i1": Int8Array };

/** Bytes of a base64 text. */
function decodeBase64(text) {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The arrays by name, each a Float32Array of count x components. */
async function unpackScene(header, compressed) {
  const stream = new Blob([compressed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = await new Response(stream).arrayBuffer();
  const arrays = {};
  let start = 0;
  for (const { name, type, components, low, high } of header.arrays) {
    const length = header.count * components;
    const bytes = length * TYPES[type].BYTES_PER_ELEMENT;
    const raw = new TYPES[type](data.slice(start, start + bytes));  // a copy: offsets need not be aligned
    const values = raw instanceof Float32Array ? raw : Float32Array.from(raw);
    if (low !== undefined) {
      const step = (high - low) / STEPS;
      for (let i = 0; i < length; i++) values[i] = low + step * values[i];
    }
    arrays[name] = values;
    start += bytes;
  }
  return arrays;
}
