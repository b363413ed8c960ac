// node validate_gltf.mjs FILE.glb: Khronos' validator; prints its report as JSON.
import { readFileSync } from "node:fs";
import { validateBytes } from "gltf-validator";

const report = await validateBytes(new Uint8Array(readFileSync(process.argv[2])), { maxIssues: 100 });
console.log(JSON.stringify(report.issues));
