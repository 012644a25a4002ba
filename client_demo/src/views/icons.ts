/** The page's icons: strokes on a 24-unit grid, in the colour of the text around them. */
import { svg } from "./dom";

const PATHS = {
  logo: "M5 8.5A3.5 3.5 0 0 1 8.5 5h7A3.5 3.5 0 0 1 19 8.5v5a3.5 3.5 0 0 1-3.5 3.5H12l-4.5 3.5V17A3.5 3.5 0 0 1 5 13.5z M9 11h.01 M12 11h.01 M15 11h.01",
  hash: "M9.5 4 7.5 20 M16.5 4l-2 16 M4.5 9h16 M3.5 15h16",
  everyone: "M3.5 10v4h3.5l6 4.5v-13L7 10z M16.5 9.5a3.5 3.5 0 0 1 0 5 M19 6.8a7.4 7.4 0 0 1 0 10.4",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z M2.5 20c.4-3.6 2.9-5.5 6.5-5.5s6.1 1.9 6.5 5.5 M16 4.3a3.5 3.5 0 0 1 0 6.4 M18 14.9c2 .8 3.2 2.5 3.5 5.1",
  menu: "M4 7h16 M4 12h16 M4 17h10",
  close: "M6.5 6.5l11 11 M17.5 6.5l-11 11",
  send: "M4.5 12h14 M12.5 5.5 19 12l-6.5 6.5",
  leave: "M10 4.5H6.5a2 2 0 0 0-2 2v11a2 2 0 0 0 2 2H10 M14.5 8l4.5 4-4.5 4 M19 12H9.5",
  plus: "M12 5v14 M5 12h14",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1 M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8z M12 2.5V5 M12 19v2.5 M2.5 12H5 M19 12h2.5 M5.3 5.3 7 7 M17 17l1.7 1.7 M5.3 18.7 7 17 M17 7l1.7-1.7",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z",
  contrast: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17z",
  down: "M12 5v14 M6 13l6 6 6-6",
  retry: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L19.5 9 M19.5 4.5V9H15",
  check: "M5 12.5 10 17.5 19.5 7",
  verified: "M12 3.5l2.2 1.7 2.8-.2.7 2.7 2.3 1.6-1.1 2.7 1.1 2.7-2.3 1.6-.7 2.7-2.8-.2L12 20.5l-2.2-1.7-2.8.2-.7-2.7L4 14.7 5.1 12 4 9.3l2.3-1.6L7 5l2.8.2z M9 12l2.2 2.2L15.2 10",
  warning: "M12 4.5 21 19.5H3z M12 10.5v4 M12 17h.01",
  info: "M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17z M12 11v5 M12 8h.01",
  bell: "M6.5 10a5.5 5.5 0 0 1 11 0c0 5 2 6.5 2 6.5h-15s2-1.5 2-6.5z M10 19.5a2.2 2.2 0 0 0 4 0",
  signout: "M14 4.5h3.5a2 2 0 0 1 2 2v11a2 2 0 0 1-2 2H14 M9.5 8 5 12l4.5 4 M5 12h9.5",
};

/** What of an icon is an area rather than a stroke. */
const AREAS: Partial<Record<IconName, string>> = { contrast: "M12 3.5a8.5 8.5 0 0 1 0 17z" };

export type IconName = keyof typeof PATHS;

export function icon(name: IconName, size = 20): SVGElement {
  const area = AREAS[name];
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] }),
    ...(area === undefined ? [] : [svg("path", { d: area, fill: "currentcolor" })]),
  );
}
