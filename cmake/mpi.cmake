# The MPI plugin: libarttomus_mpi.so, beside the program or in the library folder, loaded
# when ranks are asked for.  Nothing else knows MPI; without it one process trains alone.
include(GNUInstallDirs)
set(CMAKE_BUILD_RPATH ${PROJECT_BINARY_DIR})                                  # where dlopen looks
set(CMAKE_INSTALL_RPATH "$ORIGIN;$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
# As RPATH: a RUNPATH counts only for the caller of dlopen, which under ASan is libasan.
add_link_options(-Wl,--disable-new-dtags)

pkg_check_modules(MPI IMPORTED_TARGET ompi-c)
if(TARGET PkgConfig::MPI)
    set(MPI_TARGET PkgConfig::MPI)
else()
    find_package(MPI QUIET COMPONENTS C)
    if(MPI_C_FOUND)
        set(MPI_TARGET MPI::MPI_C)
    endif()
endif()

if(MPI_TARGET)
    file(GLOB MPI_SOURCES CONFIGURE_DEPENDS src/comm/mpi/*.c)
    add_library(arttomus_mpi MODULE ${MPI_SOURCES})
    target_include_directories(arttomus_mpi PRIVATE src include)
    target_link_libraries(arttomus_mpi PRIVATE ${MPI_TARGET})
    install(TARGETS arttomus_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
else()
    message(STATUS "No MPI (Debian: libopenmpi-dev): training runs as one process")
endif()
