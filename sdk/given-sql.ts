/**
 * A parameter of which SQLite does not look at the value when it plans. After a bare `?` in a
 * LIMIT, or in a condition beside ORDER BY, it does, and so compiles the statement anew each time a
 * value is bound: 40 to 75 µs for a read of an outbox that takes 6 itself.
 */
export const given = '(SELECT ?)'
