// Vega's libraries, which are packed in the page.
async function load() {
  const packed = document.getElementById("libraries")?.textContent ?? "";
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
}
// Draws each chart where its still picture is, which stays where that fails.
const charts = [...document.querySelectorAll(".chart")];
const loaded = charts.length ? load() : null;
const drawn = charts.map(async (chart) => {
  await loaded;
  const spec = JSON.parse(chart.querySelector("script").textContent);
  const live = document.createElement("div");
  chart.append(live);
  try {
    // As many names side by side as there is room for.
    const width = live.clientWidth, columns = Math.max(1, Math.floor(width / 170));
    Object.assign(spec.config.legend, { columns, labelLimit: width / columns - 48 });
    spec.config.axis.labelLimit = Math.max(90, 0.35 * width);
    // ast: no eval, which many sites that show pages forbid.
    const options = { actions: false, renderer: "svg", mode: "vega-lite", ast: true };
    await vegaEmbed(live, spec, options);
    chart.querySelector(".still").remove();
  } catch (error) {
    live.remove();
    console.error(error);
  }
});
Promise.all(drawn).then(() => { document.documentElement.dataset.drawn = "yes"; });
// A page that is loaded anew during a run shows what it showed before. Not all browsers
// see to that themselves, and some have no storage for a file.
const key = "scroll " + location.pathname;
let place = null;
try {
  place = sessionStorage.getItem(key);
  sessionStorage.removeItem(key);
} catch { /* it begins at the top */ }
if (place !== null) {
  scrollTo(0, Number(place));
  Promise.all(drawn).then(() => scrollTo(0, Number(place)));
}
if (document.querySelector("meta[http-equiv=refresh]")) {
  history.scrollRestoration = "manual";
  addEventListener("pagehide", () => {
    try { sessionStorage.setItem(key, scrollY); } catch { /* as above */ }
  });
}
