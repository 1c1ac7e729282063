# Flags of single kernel files: instruction sets are chosen at run time, so only
# the files that are guarded by a CPU check may use them.  -Wno-psabi: vectors are
# passed only between static functions of one file, so their ABI is nobody's concern.
set(KERNELS ${PROJECT_SOURCE_DIR}/kernels)
set_source_files_properties(${KERNELS}/cpu/portable.c PROPERTIES COMPILE_OPTIONS "-Wno-psabi")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${KERNELS}/cpu/avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-Wno-psabi")
    set_source_files_properties(${KERNELS}/cpu/avx512.c PROPERTIES COMPILE_OPTIONS "-mavx512f;-Wno-psabi")
endif()
# The variants are one source included with different flags.
file(GLOB CPU_KERNEL_SOURCES CONFIGURE_DEPENDS ${KERNELS}/cpu/simd/*)
set_source_files_properties(${KERNELS}/cpu/portable.c ${KERNELS}/cpu/avx2.c ${KERNELS}/cpu/avx512.c
    PROPERTIES OBJECT_DEPENDS "${CPU_KERNEL_SOURCES}")
