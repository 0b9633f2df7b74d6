// The natural look's arithmetic on the small picture, with the formulas and numbers of sgz/look:
// black point, one factor, exposure, guided map. Denoising is not here.
//
// Pictures and maps are {values, width, height}, values [channels, height, width].

// --- black point (sgz/look/black_point.py)

const BLACK = {
  share: 0.005, pile: 0.05, light: 0.95, most: 16 / 255, contrast: 0.15,
  narrow: 3 / 255, wide: 5 / 255, frame: 2.5 / 255,
};
const clip = (value, least = 0, most = 1) => Math.min(Math.max(value, least), most);

// Each channel's black, [3]: what they have in common, and of the rest what is an offset.
export function findBlack(small) {
  const { top, bottom, left, right } = inside(small);
  const count = Math.max(bottom - top, 0) * Math.max(right - left, 0);
  if (!count) return new Float32Array(3);
  const places = [
    Math.floor(BLACK.share * (count - 1)),
    Math.floor(BLACK.pile * (count - 1)),
    Math.ceil(BLACK.light * (count - 1)),
  ];
  const values = new Float32Array(count);
  const channels = [0, 1, 2].map((c) => {
    let i = 0;
    for (let y = top; y < bottom; y++) {
      const row = (c * small.height + y) * small.width;
      for (let x = left; x < right; x++) values[i++] = small.values[row + x];
    }
    values.sort();
    const [dark, pile, light] = places.map((place) => values[place]);
    return { dark, pile, light };
  });
  const common = Math.min(...channels.map(({ dark }) => dark));
  const span = Math.max(...channels.map(({ dark, pile }) => pile - dark));
  const offset = clip((BLACK.wide - span) / (BLACK.wide - BLACK.narrow));
  const kept = clip(2 - common / BLACK.most);
  const black = channels.map(({ dark }) => {
    const rest = dark - common;
    return kept * (common + offset * Math.min(rest, Math.max(2 * BLACK.most - rest, 0)));
  });
  // In proportion, so that hue stays.
  const most = channels.map(({ light }, c) => (BLACK.contrast * light) / Math.max(black[c], 1e-9));
  return Float32Array.from(black, (value) => value * Math.min(...most, 1));
}

// The picture without the black rows and columns at its border.
function inside({ values, width, height }) {
  const area = width * height;
  const lit = (i) => Math.max(values[i], values[area + i], values[2 * area + i]) > BLACK.frame;
  const rows = Array(height).fill(false);
  const columns = Array(width).fill(false);
  for (let i = 0; i < area; i++) {
    if (lit(i)) rows[Math.floor(i / width)] = columns[i % width] = true;
  }
  const span = (line) => {
    const [first, last] = [line.indexOf(true), line.lastIndexOf(true)];
    if (first < 0) return [0, 0];
    // The outermost lit ones may be half the frame's.
    return [first + (first > 0 ? 1 : 0), last + (last === line.length - 1 ? 1 : 0)];
  };
  const [top, bottom] = span(rows);
  const [left, right] = span(columns);
  return { top, bottom, left, right };
}

// max(x - black, 0) / (1 - black).
export function subtract({ values, width, height }, black) {
  const area = width * height;
  const result = new Float32Array(values.length);
  for (let c = 0; c < 3; c++) {
    for (let i = c * area; i < (c + 1) * area; i++) {
      result[i] = Math.max(values[i] - black[c], 0) / (1 - black[c]);
    }
  }
  return { values: result, width, height };
}

// --- one factor for the three channels

export function meanFactor({ values, width, height }) {
  const area = width * height;
  const mean = new Float32Array(area);
  for (let i = 0; i < area; i++) mean[i] = (values[i] + values[area + i] + values[2 * area + i]) / 3;
  return { values: mean, width, height };
}

// --- exposure (sgz/look/exposure.py)

const EXPOSURE = {
  levels: [0.45, 0.55], highlight: 0.8, brightest: 0.01, agreement: 0.8,
  shadow: 0.35, darkest: 0.3, lift: 0.9, night: 1.25, most: 2.5, side: 40,
  spared: 3,
};
const STRENGTHS = [
  0,
  ...Array.from({ length: 13 }, (_, i) => 0.1 * (EXPOSURE.most / 0.1) ** (i / 12)),
];

// A map [h, w] with less for what is bright already: A (1 - x^3), x the largest channel.
export function spareHighlights(seen, { values, width, height }) {
  const area = width * height;
  const v = seen.values;
  const spared = values.map((value, i) => {
    const lightest = Math.max(v[i], v[area + i], v[2 * area + i]);
    return value * (1 - lightest ** EXPOSURE.spared);
  });
  return { values: spared, width, height };
}

// The strength, 0 to most, at which a map [h, w] brings what the network saw to its level.
export function fitStrength(seen, factor, iterations = 8) {
  const step = Math.ceil(Math.max(seen.width, seen.height) / EXPOSURE.side);
  const area = seen.width * seen.height;
  const places = [];
  for (let y = 0; y < seen.height; y += step) {
    for (let x = 0; x < seen.width; x += step) places.push(y * seen.width + x);
  }
  const last = places.length - 1;
  const lightness = new Float32Array(places.length);
  const tried = STRENGTHS.map((strength) => {
    places.forEach((place, i) => {
      const a = Math.max(-1, Math.min(1, factor.values[place] * strength));
      let most = 0;
      for (let c = 0; c < 3; c++) {
        most = Math.max(most, curve(seen.values[c * area + place], a, iterations));
      }
      lightness[i] = most;
    });
    lightness.sort();
    const dark = 1 + Math.floor(EXPOSURE.darkest * last);
    return {
      mean: sum(lightness, places.length) / places.length,
      highlight: lightness[Math.round((1 - EXPOSURE.brightest) * last)],
      shadow: sum(lightness, dark) / dark,
    };
  });
  const limit = reach(tried.map((one) => one.highlight), EXPOSURE.highlight);
  const means = tried.map((one) => one.mean);
  const [least, most] = EXPOSURE.levels;
  const bright = clip((2 * means[0]) / least - 1); // is it there already?
  const low = heldBack(reach(means, least), limit);
  const high = heldBack(reach(means, most + bright * (least - most)), limit);
  const lift = reach(tried.map((one) => one.shadow), EXPOSURE.shadow);
  const strength = Math.min(Math.max(1, low), high);
  return Math.min(Math.max(strength, Math.min(lift, EXPOSURE.lift)), EXPOSURE.most);
}

// The strength for the mean, with regard to the highlights', `limit`.
function heldBack(strength, limit) {
  if (strength === 0) return 0;
  strength *= Math.sqrt(clip(limit / strength, EXPOSURE.agreement));
  return Math.min(strength, Math.max(EXPOSURE.night * limit, 1));
}

export function curve(x, a, iterations) {
  for (let i = 0; i < iterations; i++) x += a * (x * x - x);
  return x;
}

function sum(values, count) {
  let total = 0;
  for (let i = 0; i < count; i++) total += values[i];
  return total;
}

// The least strength at which values, one for each of STRENGTHS, reach a goal.
function reach(values, goal) {
  let most = -Infinity;
  const reached = values.map((value) => (most = Math.max(most, value)));
  if (reached.at(-1) <= reached[0]) return reached[0] >= goal ? 0 : 1; // no strength brightens it
  if (goal <= reached[0]) return 0;
  const above = reached.findIndex((value) => value >= goal);
  if (above < 0) return STRENGTHS.at(-1);
  const share = (goal - reached[above - 1]) / (reached[above] - reached[above - 1]);
  return STRENGTHS[above - 1] + share * (STRENGTHS[above] - STRENGTHS[above - 1]);
}

// --- guided map (sgz/look/guided_map.py)

const GUIDED = { radius: 8, eps: 1e-3, reach: 7, trust: 1e-3 };

// Slope and offset, each [h, w], of A = slope g + offset with g = sqrt(largest channel).
export function fitGuide(seen, { values: factor, width, height }) {
  const area = width * height;
  const make = (value) => Float64Array.from({ length: area }, (_, i) => value(i));
  const box = (plane, radius) => means(plane, width, height, radius);
  const v = seen.values;
  const guide = make((i) => Math.sqrt(Math.max(v[i], v[area + i], v[2 * area + i])));
  const square = make((i) => guide[i] * guide[i]);
  const near = box(guide, GUIDED.reach);
  const nearSquare = box(square, GUIDED.reach);
  const weight = make((i) => Math.max(1 / (nearSquare[i] - near[i] ** 2 + GUIDED.trust), 1e-6));
  const total = box(weight, GUIDED.radius);
  const weighted = (plane) => {
    const sums = box(make((i) => weight[i] * plane[i]), GUIDED.radius);
    return make((i) => sums[i] / total[i]);
  };
  const meanG = weighted(guide);
  const meanA = weighted(factor);
  const meanSquare = weighted(square);
  const meanBoth = weighted(make((i) => guide[i] * factor[i]));
  const again = box(total, GUIDED.radius);
  const smooth = (plane) => {
    const sums = box(make((i) => plane[i] * total[i]), GUIDED.radius);
    return Float32Array.from(sums, (value, i) => value / again[i]);
  };
  const slope = make((i) => {
    const variance = Math.max(meanSquare[i] - meanG[i] * meanG[i], 0) + GUIDED.eps;
    return (meanBoth[i] - meanG[i] * meanA[i]) / variance;
  });
  return { slope: smooth(slope), offset: smooth(make((i) => meanA[i] - slope[i] * meanG[i])) };
}

// Means over windows of 2 radius + 1 pixels a side, mirrored at the border.
function means(plane, width, height, radius) {
  const half = new Float64Array(plane.length);
  const result = new Float64Array(plane.length);
  for (let y = 0; y < height; y++) line(plane, half, y * width, 1, width, radius);
  for (let x = 0; x < width; x++) line(half, result, x, width, height, radius);
  return result;
}

function line(source, target, first, pace, count, radius) {
  const at = (i) => {
    const place = ((i % (2 * count)) + 2 * count) % (2 * count);
    return source[first + pace * Math.min(place, 2 * count - 1 - place)];
  };
  let total = 0;
  for (let i = -radius; i <= radius; i++) total += at(i);
  for (let i = 0; i < count; i++) {
    target[first + pace * i] = total / (2 * radius + 1);
    total += at(i + radius + 1) - at(i - radius);
  }
}
