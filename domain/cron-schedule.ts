// Schedules as cron writes them: five fields (minute, hour, day of the month, month, day of the week), or a nickname such as @daily. Times are UTC.
import { Cron } from 'croner';

/** A date is a schedule to croner as well; here it is none. */
const form = /^(@[a-z]+|\S+(\s+\S+){4})$/;

function parse(schedule: string): Cron | undefined {
  const text = schedule.trim();
  if (!form.test(text)) return undefined;
  try {
    return new Cron(text, { mode: '5-part', timezone: 'UTC', paused: true });
  } catch {
    // croner tells by throwing alone that it is no schedule.
    return undefined;
  }
}

/** Whether it can be read, and comes about at all: 31 February does not. */
export function isCronSchedule(schedule: string): boolean {
  return nextTime(schedule, new Date()) !== undefined;
}

/** The first time after that one. @returns undefined where there is none, or where it is no schedule */
export function nextTime(schedule: string, after: Date): Date | undefined {
  return parse(schedule)?.nextRun(after) ?? undefined;
}
