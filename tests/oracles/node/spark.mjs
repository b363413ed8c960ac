// node spark.mjs JOB.json: draw splat files with Spark in headless Chromium, see draw() of spark_page.html.
//
// The job: {"chromium": path, "size": 512, "fov": 30, "eye": [x, y, z], "background": "#808080", "settle": 10,
//           "views": [{"file": path, "budget": number or null, "pixels": 1, "out": path of a .png}, ...]}
// Prints [{"drawn": number}, ...].
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { withPage } from "./browser.mjs";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));

// Each view's file has a name of its own.
const given = (path) => {
  const view = path.match(/^\/view(\d+)\//);
  return view ? job.views[Number(view[1])].file : undefined;
};

await withPage(job.chromium, "spark_page.html", given, async (page) => {
  await page.evaluate((options) => window.start(options), job);
  const results = [];
  for (const view of job.views) {
    const first = job.views.findIndex((other) => other.file === view.file);
    const url = `/view${first}/${basename(view.file)}`;
    const { drawn, picture } = await page.evaluate((options) => window.draw(options), {
      url, budget: view.budget, pixels: view.pixels, settle: job.settle,
    });
    writeFileSync(view.out, Buffer.from(picture.split(",")[1], "base64"));
    results.push({ drawn });
  }
  console.log(JSON.stringify(results));
});
