// node ksplat.mjs IN.ply OUT DEGREE: GaussianSplats3D, whose format it is, writes OUT0.ksplat to OUT2.ksplat,
// one of each compression level.
globalThis.self = globalThis.window = globalThis; // the library was written for browsers
import { readFileSync, writeFileSync } from "node:fs";
const { PlyParser, SplatBufferGenerator } = await import("@mkkellogg/gaussian-splats-3d");

const [source, target, degree] = process.argv.slice(2);
const bytes = readFileSync(source);
const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const splats = PlyParser.parseToUncompressedSplatArray(data, Number(degree));
const keepAll = 0; // least opacity that is kept
for (const level of [0, 1, 2]) {
  const generator = SplatBufferGenerator.getStandardGenerator(keepAll, level);
  const { bufferData } = generator.generateFromUncompressedSplatArray(splats);
  writeFileSync(`${target}${level}.ksplat`, Buffer.from(bufferData));
}
