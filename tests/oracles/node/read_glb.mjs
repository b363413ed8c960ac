// node read_glb.mjs FILE.glb: three.js' loader; prints {node name: {attribute: [numbers]}} of every set of points.
globalThis.self = globalThis; // the loader was written for browsers
import { readFileSync } from "node:fs";
const { GLTFLoader } = await import("three/addons/loaders/GLTFLoader.js");

const bytes = readFileSync(process.argv[2]);
const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const { scene } = await new GLTFLoader().parseAsync(data, "");
const found = {};
scene.traverse((object) => {
  if (!object.isPoints) return;
  found[object.name] = {};
  for (const [name, attribute] of Object.entries(object.geometry.attributes)) {
    const values = (found[object.name][name] = []);
    for (let index = 0; index < attribute.count; index++)
      for (let part = 0; part < attribute.itemSize; part++) values.push(attribute.getComponent(index, part));
  }
});
console.log(JSON.stringify(found));
