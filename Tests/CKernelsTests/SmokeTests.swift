import CKernels
import Testing

@Test func aPoolHasItsThreads() {
  let pool = ck_pool_create(2)
  #expect(ck_pool_threads(pool) == 2)
  ck_pool_destroy(pool)
}
