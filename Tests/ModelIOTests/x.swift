// Exercised through the golden traces.
