// Times for people, in the browser's zone.

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const shortClock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

const two = (number) => String(number).padStart(2, "0");

/** The day of a time as the form's field has it: 2026-11-29. */
export const dayOf = (when) => `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;

export const today = () => dayOf(new Date());

/** Midnight at which a day begins, or one some days later; null for what is no day. */
export function beginOf(day, later = 0) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(day);
  const when = parts && new Date(+parts[1], parts[2] - 1, +parts[3] + later);
  return when && !Number.isNaN(when.getTime()) ? when : null;
}

export const dayAfter = (day, later) => dayOf(beginOf(day, later));

/** "Today, Sunday 29 November 2026". */
export function nameOf(day) {
  const word = day === today() ? "Today, " : day === dayAfter(today(), -1) ? "Yesterday, " : "";
  return word + longDay.format(beginOf(day));
}

export const time = (iso) => clock.format(new Date(iso));

/** Hours and minutes, with the day where that isn't today. */
export function since(iso) {
  const when = new Date(iso);
  return dayOf(when) === today() ? shortClock.format(when) : `${shortClock.format(when)}, ${longDay.format(when)}`;
}

/** When it ended, with the day where that is another one than it began. */
export function until(begin, end) {
  const days = [begin, end].map((iso) => dayOf(new Date(iso)));
  return days[0] === days[1] ? time(end) : `${time(end)}, ${longDay.format(new Date(end))}`;
}

/** "31 s", "12 min", "3 h 5 min", "2 days 4 h". */
export function length(begin, end) {
  const seconds = Math.max(0, (new Date(end) - new Date(begin)) / 1000);
  if (seconds < 99.5) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  const word = days === 1 ? "day" : "days";
  return hours % 24 ? `${days} ${word} ${hours % 24} h` : `${days} ${word}`;
}
